/**
 * A whole machine from its replica, into a data directory on which no kernel runs: every database
 * is made and checked beside what is there, and takes its place with all others or not at all
 * (`replaceData` of storage says how).
 */
import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { SysError } from "../errno.ts";
import { replaceData, writeMachineKey } from "../storage/mod.ts";
import { machineDatabase } from "./format/mod.ts";
import { limits } from "./limits.ts";
import { type Plan, readPlan, replicated } from "./replica-plan.ts";
import { restoreTo } from "./replica-restore.ts";
import { databasePath } from "./replicator.ts";
import type { ReplicaStore, Target } from "./store/mod.ts";
import { openStore } from "./store/mod.ts";

export interface RestoreMachine {
  readonly target: Target;
  readonly dataDir: string;
  /** Unix ms; null: the latest. */
  readonly at: number | null;
  readonly dryRun: boolean;
  /** Replaces what is there. */
  readonly force: boolean;
  /** The 32 bytes of the machine key that sealed the secrets; null: what is there stays. */
  readonly key: Uint8Array | null;
}

export interface MachinePlan {
  readonly plans: readonly Plan[];
  /** Databases that did not exist yet at that time. */
  readonly absent: readonly string[];
}

/** A machine that was made, or only planned. */
export interface MadeMachine extends MachinePlan {
  /** Its domain, once it is made. */
  readonly domain: string | null;
}

/** Restores every database. EEXIST (something is there), ENOENT, EBADMSG (naming it), ENOSPC. */
export async function restoreMachine(options: RestoreMachine): Promise<MachinePlan> {
  const { dataDir, at, dryRun, force, key } = options;
  const store = await openStore(options.target, limits, limits.restoreTries);
  try {
    const plan = await planMachine(store, at);
    if (dryRun) return plan;
    const fill = async (fresh: string) => {
      await restoreInto(fresh, plan, { store });
      if (key !== null) writeMachineKey(fresh, key);
    };
    await replaceData({ dataDir, force, fill });
    // What was known of the old databases' logs is not true of these; nor is this the old writer.
    rmSync(join(dataDir, "run/replica"), { recursive: true, force: true });
    return plan;
  } finally {
    store.close();
  }
}

/** One database of a machine is made. */
export interface Made {
  readonly database: string;
  readonly sizeBytes: number;
}

/** How a machine is made. */
export interface Making {
  readonly store: ReplicaStore;
  /** Hears of each database. */
  readonly told?: (made: Made) => void;
}

/** Makes every database of a plan in a directory. */
export async function restoreInto(
  directory: string,
  { plans }: MachinePlan,
  { store, told }: Making,
): Promise<void> {
  for (const each of plans) {
    const path = databasePath(directory, each.database);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const { database, sizeBytes } = await restoreTo(path, each, { store, thorough: false });
    told?.({ database, sizeBytes });
  }
}

/** What a whole machine would be made of. ENOENT, EBADMSG. */
export async function planMachine(store: ReplicaStore, at: number | null): Promise<MachinePlan> {
  const plans = [await readPlan(store, machineDatabase, at)];
  const absent: string[] = [];
  for (const name of await replicated(store)) {
    if (name === machineDatabase) continue;
    try {
      plans.push(await readPlan(store, name, at));
    } catch (error) {
      if (!(error instanceof SysError && error.code === "ENOENT")) throw error;
      absent.push(name);
    }
  }
  return { plans, absent };
}
