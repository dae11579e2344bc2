/**
 * Restoring: a snapshot and the log after it become a database file again.
 *
 * Rules: everything is written beside its place and checked before it is swapped in: LZ4 checksums,
 * the snapshot's hash, the log's salts and running checksums from its header to its end, each
 * index's recorded length, the succession of indexes, then SQLite's own check. Frames are applied
 * by SQLite itself, which reads no page of them for that. What is wrong is named by its object, and
 * then nothing is left behind.
 *
 * The bytes may be anybody's: an app's, or a stranger's bucket. So SQLite's check is done in the
 * sandbox, by whoever can make one; the replicator's process cannot, and asks the kernel (`child.ts`).
 */
import { Database } from "bun:sqlite";
import { closeSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import { SysError } from "../errno.ts";
import { type EncloseCheck, lookApart } from "../storage/mod.ts";
import { syncPath } from "../sync.ts";
import {
  decompressFrame,
  firstPoint,
  frameBytes,
  keysOf,
  readFrames,
  readWalHeader,
  type WalHeader,
  type WalPoint,
  walHeaderBytes,
} from "./format/mod.ts";
import type { Plan, PlannedIndex } from "./replica-plan.ts";
import { restarts } from "./replica-position.ts";
import type { ReplicaStore } from "./store/mod.ts";

export interface RestoreOptions {
  readonly store: ReplicaStore;
  /** Every page and index is looked at, not only their structure. */
  readonly thorough: boolean;
  /** Who looks through what was made; absent: this process. */
  readonly look?: Look;
}

/** What was made. */
export interface Restored {
  readonly database: string;
  readonly sizeBytes: number;
  readonly tables: number;
}

const bad = (key: string, why: string): SysError =>
  new SysError("EBADMSG", `cannot restore "${key}": ${why}`, {
    hint: "name an earlier time with --at",
  });

/** Makes the database of a plan at this path, which must be free. EBADMSG, ENOENT, ENOSPC, EIO. */
export async function restoreTo(
  path: string,
  plan: Plan,
  { store, thorough, look = lookHere }: RestoreOptions,
): Promise<Restored> {
  try {
    await writeSnapshot(path, plan, { store, thorough });
    let last: WalHeader | null = null;
    for (const index of plan.indexes) {
      last = await writeLog(`${path}-wal`, { plan, index, last }, store);
      applyLog(path, plan.database);
    }
    const tables = await look({ path, database: plan.database, thorough });
    sync(path);
    return { database: plan.database, sizeBytes: statSync(path).size, tables };
  } catch (error) {
    for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
    throw asRefusal(error, plan.database);
  }
}

function asRefusal(error: unknown, database: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : null;
  if (error instanceof SysError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const full = code === "ENOSPC" || code === "SQLITE_FULL";
  return new SysError(full ? "ENOSPC" : "EIO", `cannot restore "${database}": ${text}`, {
    cause: error,
  });
}

/** Names the object in what its frame is refused with. */
async function* unpacked(
  store: ReplicaStore,
  key: string,
  hashed = false,
): AsyncGenerator<Uint8Array> {
  try {
    yield* decompressFrame(store.get(key), { hashed });
  } catch (error) {
    if (!(error instanceof SysError && error.code === "EBADMSG")) throw error;
    throw bad(key, error.message.replace("cannot read LZ4 frame: ", "its frame is damaged: "));
  }
}

async function writeSnapshot(
  path: string,
  plan: Plan,
  { store, thorough }: RestoreOptions,
): Promise<void> {
  const { record, index } = plan.snapshot;
  const key = keysOf(plan.database, plan.generation).snapshot(index);
  const hash = new Bun.CryptoHasher("sha256");
  let sizeBytes = 0;
  const file = openSync(path, "wx", 0o600);
  try {
    // Its own hash proves the content; a drill also finds a checksum that others would refuse.
    for await (const piece of unpacked(store, key, record !== null && !thorough)) {
      writeAll(file, piece);
      if (record !== null) hash.update(piece);
      sizeBytes += piece.length;
    }
  } finally {
    closeSync(file);
  }
  if (record === null) return;
  if (sizeBytes !== record.sizeBytes) throw bad(key, "it is not as long as its record says");
  if (hash.digest("hex") !== record.sha256) throw bad(key, "its hash is not what its record says");
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

interface LogPart {
  readonly plan: Plan;
  readonly index: PlannedIndex;
  /** The header of the index before, null for the first. */
  readonly last: WalHeader | null;
}

/** Writes one index of the log as a `-wal` file, checked to its last frame; answers its header. */
async function writeLog(path: string, part: LogPart, store: ReplicaStore): Promise<WalHeader> {
  const { plan, index } = part;
  const keys = keysOf(plan.database, plan.generation);
  const file = openSync(path, "w", 0o600);
  const log = new CheckedLog();
  try {
    for (const { offset } of index.segments) {
      const key = keys.segment(index.index, offset);
      if (offset !== log.length) throw bad(key, `it begins at ${offset} and not at ${log.length}`);
      const bytes = Buffer.concat(await Array.fromAsync(unpacked(store, key)));
      if (!log.add(bytes)) throw bad(key, "it does not go on where the log before it ends");
      writeAll(file, bytes);
    }
  } finally {
    closeSync(file);
  }
  const header = log.header;
  if (header === null) throw bad(keys.segment(index.index, 0), "it has no header");
  matchRecord(part, log, header);
  return header;
}

/** Compares an index with its record, its neighbour, and what the snapshot needs of it. */
function matchRecord({ plan, index, last }: LogPart, log: CheckedLog, header: WalHeader): void {
  const keys = keysOf(plan.database, plan.generation);
  const key = keys.walRecord(index.index);
  const { record } = index;
  const same =
    record === null ||
    (record.sequence === header.sequence &&
      record.salt1 === header.salt1 &&
      record.salt2 === header.salt2);
  if (!same) throw bad(key, "the log is not the one it was written for");
  if (record !== null && index.whole) {
    const { offset, check1, check2 } = log.point;
    const ends = offset === record.length && check1 === record.check1 && check2 === record.check2;
    if (!ends) throw bad(key, `index ${index.index} ends at ${offset}, not at ${record.length}`);
  }
  if (last !== null && restarts(last, header) === 0) {
    throw bad(keys.segment(index.index, 0), "it does not follow the index before it");
  }
  const needs = plan.snapshot.record;
  if (needs !== null && needs.index === index.index && log.length < needs.offset) {
    throw bad(keys.snapshot(needs.index), `the log it needs ends at ${log.length}`);
  }
}

/** A log that grows by segments, each frame of it good. */
class CheckedLog {
  header: WalHeader | null = null;
  point: WalPoint = { offset: 0, check1: 0, check2: 0 };

  get length(): number {
    return this.point.offset;
  }

  /** False when these bytes are not good frames to their end. */
  add(bytes: Uint8Array): boolean {
    let frames = bytes;
    if (this.header === null) {
      this.header = readWalHeader(bytes);
      if (this.header === null) return false;
      this.point = firstPoint(this.header);
      frames = bytes.subarray(walHeaderBytes);
    }
    if (frames.length % frameBytes(this.header) !== 0) return false;
    const end = this.point.offset + frames.length;
    readFrames(this.header, frames, {
      from: this.point,
      each: (point) => {
        this.point = point;
      },
    });
    return this.point.offset === end;
  }
}

/** Lets SQLite copy the log into the file. Nothing is fsynced before the whole is done. */
function applyLog(path: string, database: string): void {
  const db = new Database(path, { readwrite: true, create: false });
  try {
    db.run("PRAGMA trusted_schema = OFF");
    db.run("PRAGMA synchronous = OFF");
    const done = db
      .query<{ busy: number; log: number; checkpointed: number }, []>(
        "PRAGMA wal_checkpoint(TRUNCATE)",
      )
      .get();
    if (done?.busy !== 0) throw new SysError("EIO", `cannot restore "${database}": it is in use`);
  } finally {
    db.close();
  }
}

function sync(path: string): void {
  for (const end of ["-wal", "-shm"]) rmSync(path + end, { force: true });
  syncPath(path);
}

/** A database that was made, and what it is called in what is said of it. */
export interface MadeFile {
  readonly path: string;
  readonly database: string;
  /** Every page and index is looked at, not only their structure. */
  readonly thorough: boolean;
}

/** Looks one through; answers how many tables and indexes it has. EBADMSG, ENOSPC. */
export type Look = (file: MadeFile) => Promise<number>;

/** Bytes of a database that its check reads without a copy; what lies beyond is read as ever. */
const mapBytesMax = 2 ** 31 - 65_536;

const refuse = (database: string, why: string, cause?: unknown): SysError =>
  new SysError("EBADMSG", `cannot restore "${database}": ${why}`, { cause });

/** The same by who can make a sandbox; null where there is none, and whoever asks looks itself. */
export type LookInside = (file: MadeFile) => Promise<number | null>;

/** In a process that sees this file and nothing else. */
export function lookInside(enclose: EncloseCheck): LookInside {
  return async (file) => {
    let none = false;
    const found: EncloseCheck = (dir, bytes) => {
      try {
        return enclose(dir, bytes);
      } catch (error) {
        none = error instanceof SysError && error.code === "EPERM";
        throw error;
      }
    };
    try {
      const as = file.thorough ? "whole.db" : "quick.db";
      return await lookApart(file.path, { enclose: found, as });
    } catch (error) {
      if (none) return null;
      if (!(error instanceof SysError && error.code === "EBADMSG")) throw error;
      throw refuse(file.database, error.message, error);
    }
  };
}

/** Only files below this directory: a process that parsed what strangers made named them. */
export function lookBelow(directory: string, look: LookInside): LookInside {
  return (file) => {
    const below = dirname(resolve(file.path)).startsWith(resolve(directory) + sep);
    if (below) return look(file);
    throw new SysError("EIO", `cannot look at "${file.path}": not below "${directory}"`);
  };
}

/** In this process. */
export const lookHere: Look = async ({ path, database, thorough }) => {
  try {
    const db = new Database(path, { readwrite: true, create: false });
    try {
      db.run("PRAGMA trusted_schema = OFF");
      // It was written a moment ago and is in memory: without a copy of each page for SQLite.
      db.run(`PRAGMA mmap_size = ${mapBytesMax}`);
      const name = thorough ? "integrity_check" : "quick_check";
      const found = db.query<Record<string, string>, []>(`PRAGMA ${name}(1)`).get();
      const [text = "nothing"] = Object.values(found ?? {});
      if (text !== "ok") throw refuse(database, `SQLite's check says "${text}"`);
      const count = db.query<{ n: number }, []>("SELECT count(*) AS n FROM sqlite_schema").get();
      return count?.n ?? 0;
    } finally {
      db.close();
    }
  } catch (error) {
    if (error instanceof SysError) throw error;
    throw refuse(database, error instanceof Error ? error.message : String(error), error);
  }
};
