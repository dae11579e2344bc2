/**
 * The replicator's process: `fazt replicator`, started by the kernel. One JSON line on standard
 * input says what to do (it holds the store's secret: nothing of it is on a command line or in the
 * environment), lines on standard output say how it goes.
 *
 * Jobs: `follow` replicates until standard input ends, which means that the kernel is gone: it
 * ships what is left, within a limit, and ends. The others do one thing and answer.
 *
 * Rules: this process ends itself by SIGKILL after `follow`, because a connection that is closed in
 * order, or found open at exit, would copy and cut the log that the next run goes on from. One
 * replicator a data directory: a lock of the operating system, held by SQLite, says which.
 */
import { Database } from "bun:sqlite";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type ErrorBody, SysError } from "../errno.ts";
import { realMachine } from "../machine.ts";
import { machineOf } from "../security/mod.ts";
import { machineDatabase } from "./format/mod.ts";
import { type ReplicaLimits, limits as standardLimits } from "./limits.ts";
import {
  type Made,
  type MadeMachine,
  type Making,
  planMachine,
  restoreInto,
} from "./replica-machine.ts";
import { listReplica, type Plan, readPlan, replicated } from "./replica-plan.ts";
import { type Look, lookHere, type MadeFile, restoreTo } from "./replica-restore.ts";
import { databasePath, Replicator } from "./replicator.ts";
import type { ReplicaStore, Target } from "./store/mod.ts";
import { openStore } from "./store/mod.ts";

/** What a process is started for. */
export interface Job {
  readonly job: "follow" | "probe" | "list" | "verify" | "restore" | "machine";
  readonly target: Target;
  readonly dataDir: string;
  /** This data directory's name in the lease. */
  readonly owner: string;
  readonly limits?: Partial<ReplicaLimits>;
  /** For `verify` and `restore`: null means every one. */
  readonly database?: string | null;
  /** Unix ms; null means the latest. */
  readonly at?: number | null;
  /** For `machine`: what the key that was given says of itself, null when none was. */
  readonly keyCheck?: string | null;
  /** For `verify`: bytes of the disk it may take at one time; absent: as many as there are. */
  readonly roomBytes?: number;
  /** Only says what it would do. */
  readonly dryRun?: boolean;
  /** Somebody answers `look`: what was made is looked through by them. */
  readonly asks?: boolean;
  /** Where `restore` writes: a path that is free; for `machine` a directory. */
  readonly into?: string;
}

/** What `follow` is asked for while it runs. */
export interface Ask {
  readonly id: number;
  readonly ask: "flush" | "snapshot";
}

/** What is answered to `look`. */
export interface Looked {
  /** Null: there is no sandbox on this host, and whoever asks looks itself. */
  readonly tables: number | null;
  readonly error: ErrorBody | null;
}

/** What it says. */
export type Said =
  | { readonly kind: "status"; readonly status: ReturnType<Replicator["status"]> }
  | { readonly kind: "answer"; readonly id: number; readonly error: ErrorBody | null }
  | { readonly kind: "made"; readonly made: Made }
  | { readonly kind: "look"; readonly file: MadeFile }
  | { readonly kind: "done"; readonly value: unknown }
  | { readonly kind: "failed"; readonly error: ErrorBody };

/** Milliseconds between two tries for the lock of the replicator before. */
const lockRetryMs = 50;
/** Milliseconds between two looks whether the status is another one. */
const reportMs = 250;

function say(said: Said): void {
  const bytes = Buffer.from(`${JSON.stringify(said)}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

/**
 * As `say`, to a kernel that may have been killed: who is not heard goes on all the same. The end of
 * standard input tells it that it is over, and may be read long after the words found nobody.
 */
function tell(said: Said): void {
  try {
    say(said);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
  }
}

function bodyOf(error: unknown): ErrorBody {
  if (error instanceof SysError) return error.toBody(null);
  const message = error instanceof Error ? error.message : String(error);
  return { code: "EIO", message, hint: null, call: null };
}

/** Runs one job; answers the exit code. */
export async function runReplicator(): Promise<number> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) return 1;
  const job = JSON.parse(first.value) as Job;
  try {
    if (job.job === "follow") await followJob(job, lines);
    else say({ kind: "done", value: await oneJob(job, job.asks ? asking(lines) : lookHere) });
    return 0;
  } catch (error) {
    say({ kind: "failed", error: bodyOf(error) });
    return 1;
  }
}

/**
 * Asks whoever started this process, and waits. Standard input ends when the job has said how it
 * ended, or when its kernel is gone: then nobody may write beside the next one.
 */
function asking(lines: AsyncIterator<string>): Look {
  let answered = Promise.withResolvers<string>();
  const listen = async () => {
    for (let next = await lines.next(); !next.done; next = await lines.next()) {
      answered.resolve(next.value);
    }
    process.kill(process.pid, "SIGKILL");
  };
  void listen();
  return async (file) => {
    answered = Promise.withResolvers();
    say({ kind: "look", file });
    const { tables, error } = JSON.parse(await answered.promise) as Looked;
    if (error === null) return tables ?? lookHere(file);
    const { code, message, hint } = error;
    throw new SysError(code, message, hint === null ? {} : { hint });
  };
}

async function oneJob(job: Job, look: Look): Promise<unknown> {
  const limits = { ...standardLimits, ...job.limits };
  const store = await openStore(job.target, limits, job.job === "probe" ? 1 : limits.restoreTries);
  switch (job.job) {
    case "probe":
      await store.probe();
      return null;
    case "list":
      return listReplica(store);
    case "verify":
      return verifyJob(job, { store, look });
    case "machine":
      return machineJob(job, { store, look });
    default:
      return restoreJob(job, { store, look });
  }
}

/** Bytes a restore takes beside the database: one index of the log, and what it adds. */
const besideBytes = 64 * 1024 * 1024;

/** ENOSPC when a drill of this database would fill the disk to its mark. */
function checkRoom({ database, snapshot }: Plan, path: string, roomBytes: number): void {
  const nowBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const needBytes = Math.max(nowBytes, snapshot.record?.sizeBytes ?? 0) + besideBytes;
  if (needBytes <= roomBytes) return;
  const [need, room] = [needBytes, roomBytes].map((bytes) => Math.ceil(bytes / 1_000_000));
  throw new SysError("ENOSPC", `no room to try out "${database}": ${need} MB, and ${room} MB free`);
}

/** Restores into a temporary directory, looks at every page, and throws it away. */
type Means = Pick<Making, "store" | "look">;

async function verifyJob(job: Job, { store, look }: Means): Promise<unknown> {
  const { dataDir, database = null, roomBytes = Number.POSITIVE_INFINITY } = job;
  const names = database === null ? await replicated(store) : [database];
  const run = join(dataDir, "run");
  const drills = mkdtempSync(join(run, "drill-"));
  const results: unknown[] = [];
  try {
    for (const name of names) {
      const path = join(drills, "drill.db");
      try {
        const plan = await readPlan(store, name, null);
        checkRoom(plan, databasePath(dataDir, name), roomBytes);
        const made = await restoreTo(path, plan, { store, look, thorough: true });
        results.push({ ...made, endsAt: plan.endsAt, problem: null });
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        results.push({ database: name, sizeBytes: 0, tables: 0, endsAt: null, problem });
      }
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(drills, { recursive: true, force: true });
  }
  return results;
}

/** Plans a whole machine and, with a directory, makes it there. */
async function machineJob(job: Job, { store, look }: Means): Promise<MadeMachine> {
  const { at = null, into, keyCheck = null } = job;
  const plan = await planMachine(store, at);
  if (into === undefined) return { ...plan, domain: null };
  const told = (made: Made) => say({ kind: "made", made });
  await restoreInto(into, plan, { store, look, told });
  const { domain } = machineOf(databasePath(into, machineDatabase), keyCheck);
  return { ...plan, domain };
}

async function restoreJob(job: Job, { store, look }: Means): Promise<unknown> {
  const { database, at = null, dryRun = false, into } = job;
  if (database === null || database === undefined) {
    throw new SysError("EINVAL", "cannot restore: no database named");
  }
  const plan = await readPlan(store, database, at);
  if (!dryRun && into !== undefined) await restoreTo(into, plan, { store, look, thorough: false });
  return plan;
}

async function followJob(job: Job, lines: AsyncIterator<string>): Promise<void> {
  const machine = realMachine();
  const limits = { ...standardLimits, ...job.limits };
  const { dataDir, owner, target } = job;
  await takeLock(dataDir, limits);
  const store = await openStore(target, limits);
  const replicator = new Replicator({ machine, store, limits, dataDir, owner });
  replicator.start();
  let last = "";
  const reporting = machine.every(reportMs, () => {
    const status = replicator.status();
    const text = JSON.stringify(status);
    if (text === last) return;
    last = text;
    tell({ kind: "status", status });
  });
  for (let next = await lines.next(); !next.done; next = await lines.next()) {
    void answer(replicator, JSON.parse(next.value) as Ask);
  }
  reporting.cancel();
  replicator.stop();
  await shipRest(replicator, store, limits);
  process.kill(process.pid, "SIGKILL");
}

/**
 * The last shipment: tried a few times, and what stands still is cut off, but not a snapshot that
 * goes on: without it nothing of a new generation can be restored. When the store is away
 * the log keeps what is left until the next run. When all is shipped nobody has to wait for the
 * lease to run out.
 */
async function shipRest(
  replicator: Replicator,
  store: ReplicaStore,
  limits: ReplicaLimits,
): Promise<void> {
  const machine = realMachine();
  machine.after(limits.flushMs, () => process.kill(process.pid, "SIGKILL"));
  for (let tried = 1; tried <= limits.flushTries; tried++) {
    // Where everything is slow the next try has longer, instead of failing as the one before.
    store.hurry(limits.flushRequestMs * tried);
    const done = await replicator.flush().then(
      () => true,
      () => replicator.status().state === "fenced",
    );
    if (done) return replicator.release();
    // tidy: allow banned-call: standard input has ended, nothing else keeps this process alive
    await Bun.sleep(limits.flushAgainMs);
  }
}

async function answer(replicator: Replicator, { id, ask }: Ask): Promise<void> {
  try {
    await (ask === "flush" ? replicator.flush() : replicator.snapshot());
    tell({ kind: "status", status: replicator.status() });
    tell({ kind: "answer", id, error: null });
  } catch (error) {
    tell({ kind: "status", status: replicator.status() });
    tell({ kind: "answer", id, error: bodyOf(error) });
  }
}

/** Waits for the replicator before to finish its last shipment. EBUSY when it does not. */
async function takeLock(dataDir: string, { takeoverMs }: ReplicaLimits): Promise<void> {
  const machine = realMachine();
  const folder = join(dataDir, "run/replica");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const until = machine.monotonicMs() + takeoverMs;
  for (;;) {
    const db = new Database(join(folder, "lock.db"), { create: true, readwrite: true });
    try {
      db.run("PRAGMA locking_mode = EXCLUSIVE");
      db.run("BEGIN EXCLUSIVE");
      // Held until this process is gone; nothing else refers to it.
      process.on("exit", () => db.close());
      return;
    } catch (error) {
      db.close();
      if (machine.monotonicMs() > until) {
        throw new SysError("EBUSY", "cannot replicate: another replicator runs on this directory", {
          cause: error,
        });
      }
      await new Promise<void>((resolve) => setImmediate(() => machine.after(lockRetryMs, resolve)));
    }
  }
}
