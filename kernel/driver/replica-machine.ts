/**
 * A whole machine from its replica, into a data directory on which no kernel runs: every database
 * is made and checked beside what is there, and takes its place with all others or not at all
 * (`replaceData` of storage says how).
 *
 * And how one app's volume takes its place under a kernel that runs, each step durable before the next
 * 1. `run/restore-<app>.db` is made and checked by the replicator (its bytes are on the disk).
 * 2. It is renamed `run/restored-<app>.db`: the commit. Whoever boots next goes on from here.
 * 3. The log of what was there is removed: it would be applied to what is about to be there. So is
 *    what the replicator remembers of it: a new generation begins.
 * 4. The file is renamed into its place.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { SysError } from "../errno.ts";
import { type EncloseCheck, replaceData, writeMachineKey } from "../storage/mod.ts";
import { syncPath } from "../sync.ts";
import { isDatabase, machineDatabase, volumeDatabase } from "./format/mod.ts";
import { limits } from "./limits.ts";
import { type Plan, readPlan, replicated } from "./replica-plan.ts";
import { type Look, lookHere, lookInside, restoreTo } from "./replica-restore.ts";
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
  /** Where what was made is looked through; absent: in this process. */
  readonly enclose?: EncloseCheck;
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
  const { dataDir, at, dryRun, force, key, enclose } = options;
  const inside = enclose === undefined ? async () => null : lookInside(enclose);
  const look: Look = async (file) => (await inside(file)) ?? lookHere(file);
  const store = await openStore(options.target, limits, limits.restoreTries);
  try {
    const plan = await planMachine(store, at);
    if (dryRun) return plan;
    const fill = async (fresh: string) => {
      await restoreInto(fresh, plan, { store, look });
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
  readonly look: Look;
  /** Hears of each database. */
  readonly told?: (made: Made) => void;
}

/** Makes every database of a plan in a directory. */
export async function restoreInto(
  directory: string,
  { plans }: MachinePlan,
  { store, look, told }: Making,
): Promise<void> {
  for (const each of plans) {
    const path = databasePath(directory, each.database);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const { database, sizeBytes } = await restoreTo(path, each, {
      ...{ store, look },
      thorough: false,
    });
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

const run = (dataDir: string): string => join(dataDir, "run");
const committed = (dataDir: string, appId: string): string =>
  join(run(dataDir), `restored-${appId}.db`);

/** Where a restore of an app's volume is made: a path that is free. */
export function roomFor(dataDir: string, appId: string): string {
  const path = join(run(dataDir), `restore-${appId}.db`);
  remove(path);
  return path;
}

function remove(path: string): void {
  for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
}

/** Puts what was made at `roomFor` in the volume's place. Nobody has the volume open. */
export function swapIn(dataDir: string, appId: string): void {
  renameSync(join(run(dataDir), `restore-${appId}.db`), committed(dataDir, appId));
  syncPath(run(dataDir));
  finish(dataDir, appId);
}

function finish(dataDir: string, appId: string): void {
  const database = volumeDatabase(appId);
  const path = databasePath(dataDir, database);
  rmSync(join(run(dataDir), "replica", `${database}.json`), { force: true });
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  for (const end of ["-wal", "-shm"]) rmSync(path + end, { force: true });
  syncPath(dirname(path));
  renameSync(committed(dataDir, appId), path);
  syncPath(dirname(path));
  syncPath(run(dataDir));
}

/**
 * Finishes swaps that were committed, and removes what restores and drills that were cut off left.
 * Called before any volume is opened.
 */
export function tidyRun(dataDir: string): void {
  if (!existsSync(run(dataDir))) return;
  for (const name of readdirSync(run(dataDir))) {
    const appId = /^restored-([a-z0-9_]{1,64})\.db$/.exec(name)?.[1];
    if (appId !== undefined && isDatabase(volumeDatabase(appId))) {
      finish(dataDir, appId);
    } else if (/^(drill-|check-|restore-.*\.db(-wal|-shm)?$)/.test(name)) {
      rmSync(join(run(dataDir), name), { recursive: true, force: true });
    }
  }
}
