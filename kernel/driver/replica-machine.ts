/**
 * A whole machine from its replica, into a data directory on which no kernel runs.
 *
 * Order: every database is made and checked in `run/restore`, then what is in the way is moved to
 * `run/replaced` (only with `force`), then volumes, and `data.db` last: a directory without it is
 * no machine yet, so that a cut anywhere leaves nothing half restored that could be started.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { SysError } from "../errno.ts";
import type { Target } from "./driver.ts";
import { limits as standardLimits } from "./limits.ts";
import { machineDatabase } from "./replica-layout.ts";
import { type Plan, readPlan, replicated } from "./replica-plan.ts";
import { type Restored, restoreTo } from "./replica-restore.ts";
import { databasePath } from "./replicator.ts";
import { openStore } from "./store.ts";

export interface RestoreMachine {
  readonly target: Target;
  /** A directory that this process has locked, or that nobody uses. */
  readonly dataDir: string;
  /** Unix ms; null: the latest. */
  readonly at: number | null;
  readonly dryRun: boolean;
  /** Moves what is there aside, to `run/replaced`. */
  readonly force: boolean;
  /** Told of each database that is made and good. */
  made?(restored: Restored): void;
}

export interface MachinePlan {
  readonly plans: readonly Plan[];
  /** Databases that did not exist yet at that time. */
  readonly absent: readonly string[];
}

/** Restores every database. EEXIST (something is there), ENOENT, EBADMSG (naming it), ENOSPC. */
export async function restoreMachine(options: RestoreMachine): Promise<MachinePlan> {
  const { target, dataDir, at, dryRun, force } = options;
  if (!dryRun && !force && existsSync(join(dataDir, machineDatabase))) {
    throw new SysError("EEXIST", `cannot restore into "${dataDir}": it holds a machine`, {
      hint: "name an empty directory, or give --force",
    });
  }
  const store = await openStore(target, standardLimits);
  try {
    const plan = await planMachine(store, at);
    if (dryRun) return plan;
    const stage = join(dataDir, "run/restore");
    rmSync(stage, { recursive: true, force: true });
    try {
      for (const each of plan.plans) {
        const path = databasePath(stage, each.database);
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        options.made?.(await restoreTo(path, each, { store, thorough: false }));
      }
      swapIn(stage, dataDir, plan.plans);
    } finally {
      rmSync(stage, { recursive: true, force: true });
    }
    return plan;
  } finally {
    store.close();
  }
}

async function planMachine(
  store: Awaited<ReturnType<typeof openStore>>,
  at: number | null,
): Promise<MachinePlan> {
  const plans: Plan[] = [];
  const absent: string[] = [];
  const names = await replicated(store);
  if (names[0] !== machineDatabase) names.unshift(machineDatabase);
  for (const name of names) {
    try {
      plans.push(await readPlan(store, name, at));
    } catch (error) {
      const later = error instanceof SysError && error.code === "ENOENT";
      if (!later || name === machineDatabase) throw error;
      absent.push(name);
    }
  }
  return { plans, absent };
}

function swapIn(stage: string, dataDir: string, plans: readonly Plan[]): void {
  const aside = join(dataDir, "run/replaced");
  rmSync(aside, { recursive: true, force: true });
  const inTheWay = [machineDatabase, "volumes"].flatMap((name) =>
    ["", "-wal", "-shm"].map((end) => name + end),
  );
  for (const name of inTheWay) {
    if (!existsSync(join(dataDir, name))) continue;
    mkdirSync(aside, { recursive: true, mode: 0o700 });
    renameSync(join(dataDir, name), join(aside, name));
  }
  // What was known of the old databases' logs is not true of these.
  rmSync(join(dataDir, "run/replica"), { recursive: true, force: true });
  const last = plans.toSorted(
    (a, b) => Number(a.database === machineDatabase) - Number(b.database === machineDatabase),
  );
  for (const { database } of last) {
    const path = databasePath(dataDir, database);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    renameSync(databasePath(stage, database), path);
  }
}
