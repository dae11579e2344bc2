/**
 * For the tests of the replica: a data directory with a database that is written to, a replicator
 * over it, restores by us and by the real Litestream v0.3.13, and what tells two databases apart.
 */
import { Database } from "bun:sqlite";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Machine, realMachine } from "../machine.ts";
import { type ReplicaLimits, limits as standardLimits } from "./limits.ts";
import { readPlan } from "./replica-plan.ts";
import { restoreTo } from "./replica-restore.ts";
import { databasePath, Replicator } from "./replicator.ts";
import type { ReplicaStore } from "./store/mod.ts";

/** The real Litestream, or null where there is no build of it. */
export const litestream = (() => {
  const at = "../../node_modules/@flydotio/litestream-linux-x64/litestream";
  const path = new URL(at, import.meta.url).pathname;
  return process.platform === "linux" && process.arch === "x64" ? path : null;
})();

/** Small enough that a test goes through many logs. */
export const smallLimits: ReplicaLimits = {
  ...standardLimits,
  lookMs: 10,
  shipEveryMs: 20,
  discoverMs: 50,
  sealBytes: 100_000,
  segmentBytes: 80_000,
  scanBytes: 400_000,
  sealRetryMs: 50,
  retainEveryMs: 0,
  backoffMsMin: 10,
  backoffMsMax: 50,
};

export interface Bench extends Disposable {
  readonly dataDir: string;
  readonly machine: Machine & { advance(ms: number): void };
  /** Opens a database of the data directory as its app would. */
  open(name?: string, setUp?: (db: Database) => void): Database;
  /** A replicator that is closed with the bench. */
  replicate(store: ReplicaStore, options?: { limits?: ReplicaLimits; owner?: string }): Replicator;
  /** Restores the latest, or as of a time, to a new file and opens it. */
  restore(store: ReplicaStore, options?: { at?: number; name?: string }): Promise<Restoration>;
  path(name: string): string;
}

export interface Restoration {
  readonly path: string;
  readonly rows: number;
}

/** A fresh data directory. */
export function bench(): Bench {
  const root = mkdtempSync(join(tmpdir(), "fazt-replica-"));
  const dataDir = join(root, "data");
  mkdirSync(dataDir);
  const real = realMachine();
  let offsetMs = 0;
  const opened: { close(): void }[] = [];
  let made = 0;
  return {
    dataDir,
    machine: {
      ...real,
      now: () => real.now() + offsetMs,
      advance: (ms) => {
        offsetMs += ms;
      },
    },
    path: (name) => join(root, name),
    open(name = "data.db", setUp) {
      const path = databasePath(dataDir, name);
      mkdirSync(join(path, ".."), { recursive: true });
      const db = new Database(path, { create: true });
      setUp?.(db);
      db.run("PRAGMA journal_mode = WAL");
      db.run("PRAGMA busy_timeout = 5000");
      // No power is cut here: what is tested does not need the disk's word.
      db.run("PRAGMA synchronous = NORMAL");
      db.run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v BLOB)");
      opened.push(db);
      return db;
    },
    replicate(store, { limits = smallLimits, owner = "own_1" } = {}) {
      const replicator = new Replicator({ machine: this.machine, store, limits, dataDir, owner });
      replicator.start();
      opened.push(replicator);
      return replicator;
    },
    async restore(store, { at, name = "data.db" } = {}) {
      const path = join(root, `restored-${made++}.db`);
      const plan = await readPlan(store, name, at ?? null);
      await restoreTo(path, plan, { store, thorough: true });
      return { path, rows: rowsOf(path) };
    },
    [Symbol.dispose]() {
      for (const each of opened.toReversed()) each.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Writes rows of about this many bytes, a transaction each. */
export function write(db: Database, rows: number, bytes = 400): void {
  const insert = db.prepare("INSERT INTO t (v) VALUES (randomblob(?))");
  for (let i = 0; i < rows; i++) insert.run(bytes);
  insert.finalize();
}

function rowsOf(path: string): number {
  const db = new Database(path, { readonly: true });
  const row = db.query<{ n: number }, []>("SELECT count(*) AS n FROM t").get();
  db.close();
  return row?.n ?? -1;
}

/** A hash over everything in the table, in order, or over its first rows. */
export function contentOf(from: string | Database, rows = -1): string {
  const db = typeof from === "string" ? new Database(from, { readonly: true }) : from;
  const hash = new Bun.CryptoHasher("sha256");
  const sql = "SELECT id, v FROM t ORDER BY id LIMIT ?";
  for (const row of db.query<{ id: number; v: Uint8Array }, [number]>(sql).iterate(rows)) {
    hash.update(`${row.id} `).update(row.v);
  }
  if (typeof from === "string") db.close();
  return hash.digest("hex");
}

/** Runs Litestream to its end; throws with what it said when it fails. */
export async function runLitestream(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<void> {
  const child = Bun.spawn([litestream ?? "", ...args], { env, stdout: "pipe", stderr: "pipe" });
  const said = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`litestream ${args.join(" ")}:\n${said}`);
}

/** Waits until it is so. */
export async function until(isSo: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const machine = realMachine();
  const end = machine.monotonicMs() + ms;
  while (!(await isSo())) {
    if (machine.monotonicMs() > end) throw new Error(`not so within ${ms} ms: ${isSo}`);
    await new Promise<void>((resolve) => {
      machine.after(5, resolve);
      // Machine's timers keep nothing alive; this does.
      setImmediate(() => {});
    });
  }
}
