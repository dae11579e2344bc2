/**
 * The end of one database's log: reads what was committed and copies it into the file only when it
 * has been read. Used in the replicator's process, never in the kernel's (it opens the file itself,
 * and a second open and close of it there would drop SQLite's locks).
 *
 * Why nothing is lost
 * 1. From `openTail` to `close` one of two connections always holds a read transaction, the next
 *    one begun before the last one ends. SQLite restarts a log only when all of it is in the file
 *    and no reader holds a mark in it; what is copied is never ahead of such a mark, and so of us.
 * 2. `seal` holds the write lock while it reads the rest of the log and copies it, and begins the
 *    next read transaction before it lets go. One that finds all copied reads the file alone (its
 *    mark is 0), which keeps everybody from copying: the log restarts once before we look again.
 * 3. A snapshot is read under a read transaction that began before: what is copied into the file
 *    meanwhile is in the log that was read after. Descriptors are closed after the connections.
 */
import { constants, Database, SQLiteError } from "bun:sqlite";
import {
  closeSync,
  fstatSync,
  lstatSync,
  constants as modes,
  openSync,
  read as readFrom,
  readSync,
  type Stats,
} from "node:fs";
import { basename } from "node:path";
import { promisify } from "node:util";
import { SysError } from "../errno.ts";
import {
  firstPoint,
  frameBytes,
  frameHeaderBytes,
  readFrames,
  readWalHeader,
  type WalHeader,
  type WalPoint,
  walHeaderBytes,
} from "./format/mod.ts";
import type { ReplicaLimits } from "./limits.ts";
import { type Position, readingPoint, type Seen, sameLog } from "./replica-position.ts";

const readAsync = promisify(readFrom);

/** Bytes of the file that are read at a time for a snapshot. */
const snapshotReadBytes = 1024 * 1024;

/** What has been committed behind a position. */
export interface Scan {
  /** Ends of the pieces to ship, none longer than a segment; the last one ends a transaction. */
  readonly ends: WalPoint[];
  /** Whether more may be there than was looked at. */
  readonly more: boolean;
}

/** What a seal has done. `tail` was read while writers waited and is not shipped yet. */
export interface Seal {
  readonly tail: { readonly bytes: Uint8Array; readonly end: WalPoint } | null;
  /** False: a reader hindered it, and the log goes on in place. */
  readonly sealed: boolean;
}

export type TailLimits = Pick<ReplicaLimits, "segmentBytes" | "scanBytes" | "sealBusyMs">;

/** Which database it is, and what messages call it. */
export interface Named {
  readonly path: string;
  readonly name: string;
}

export interface Tail {
  /**
   * Takes over everything committed so far, and says how the log stood just before: from then on
   * it restarts only if all of it was in the file already.
   */
  pin(): Seen;
  /** The log's header; null while it has none. */
  header(): WalHeader | null;
  /** Whether what was shipped last is still what stands there. */
  agrees(position: Position): boolean;
  /**
   * Whether the log of this position, which has begun anew since, ended where it was shipped to:
   * what stood behind its end still stands there, and nothing of that log is among it.
   */
  ended(position: Position): boolean;
  /** Looks at no more than the first `frames` of the log. */
  scan(position: Position, header: WalHeader, frames: number): Scan;
  read(from: number, end: number): Uint8Array;
  /** Copies the log into the file as far as it was pinned, and hinders no writer. */
  copy(): void;
  /** Copies all of the log while writers wait. Null: a writer was busy, or too much was new. */
  seal(position: Position, header: WalHeader): Seal | null;
  /** Copies the log unread: continuity is given up for the sake of the disk. */
  abandon(): void;
  /** A read transaction for a snapshot; `pieces` are the file's bytes. */
  snapshot(): { pieces(): AsyncGenerator<Uint8Array>; end(): void };
  close(): void;
}

/** Size and times of a database's log, without opening it; null when there is none. */
export function logStat(path: string): Stats | null {
  return lstatSync(`${path}-wal`, { throwIfNoEntry: false }) ?? null;
}

/** Begins to follow a database. ENOENT, EBADMSG (no database, not in WAL mode), EIO. */
export function openTail({ path, name }: Named, limits: TailLimits): Tail {
  refuseStrange({ path, name });
  const opened: Database[] = [];
  try {
    const hold = connect(path, limits);
    opened.push(hold);
    begin(hold);
    const next = connect(path, limits);
    opened.push(next);
    const mode = next.query<{ journal_mode: string }, []>("PRAGMA journal_mode").get();
    if (mode?.journal_mode !== "wal") {
      throw new SysError("EBADMSG", `cannot replicate "${name}": it is not in WAL mode`, {
        hint: "set PRAGMA journal_mode = WAL in the app",
      });
    }
    return new OpenTail({ path, limits, hold, next });
  } catch (error) {
    for (const each of opened) each.close();
    if (!(error instanceof SQLiteError)) throw error;
    const corrupt = error.code === "SQLITE_NOTADB" || error.code?.startsWith("SQLITE_CORRUPT");
    const code = corrupt ? "EBADMSG" : "EIO";
    throw new SysError(code, `cannot replicate "${name}": ${error.message}`, { cause: error });
  }
}

/** An app may put anything in its volume: links would lead to files that are not its own. */
function refuseStrange({ path, name }: Named): void {
  for (const end of ["", "-wal", "-shm"]) {
    const found = lstatSync(path + end, { throwIfNoEntry: false });
    if (found === undefined && end === "") {
      throw new SysError("ENOENT", `cannot replicate "${name}": no such file`);
    }
    if (found !== undefined && !found.isFile()) {
      const of = end === "" ? "it" : `its file "${basename(path)}${end}"`;
      throw new SysError("EBADMSG", `cannot replicate "${name}": ${of} is not a plain file`);
    }
  }
}

function connect(path: string, { sealBusyMs }: TailLimits): Database {
  const flags = constants.SQLITE_OPEN_READWRITE | constants.SQLITE_OPEN_NOFOLLOW;
  const db = new Database(path, flags);
  db.run(`PRAGMA busy_timeout = ${sealBusyMs}`);
  db.run("PRAGMA trusted_schema = OFF");
  db.run("PRAGMA cache_size = -64");
  db.run("PRAGMA wal_autocheckpoint = 0");
  db.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
  return db;
}

interface Checkpointed {
  readonly busy: number;
  /** Frames of committed transactions in the log; -1 when it could not be told. */
  readonly log: number;
  readonly checkpointed: number;
}

/** NOOP copies nothing and only tells. */
function checkpoint(db: Database, mode: "NOOP" | "PASSIVE" | "TRUNCATE"): Checkpointed {
  const none = { busy: 1, log: -1, checkpointed: -1 };
  return db.query<Checkpointed, []>(`PRAGMA wal_checkpoint(${mode})`).get() ?? none;
}

/** Begins a read transaction for certain: BEGIN alone begins it with the first read. */
function begin(db: Database): void {
  db.run("BEGIN");
  db.query("PRAGMA user_version").get();
}

interface Parts {
  readonly path: string;
  readonly limits: TailLimits;
  readonly hold: Database;
  readonly next: Database;
}

class OpenTail implements Tail {
  readonly #path: string;
  readonly #limits: TailLimits;
  #hold: Database;
  #next: Database;
  readonly #snapshots = new Set<Database>();
  #file: number | null = null;
  #log: { readonly fd: number; readonly inode: number } | null = null;

  constructor({ path, limits, hold, next }: Parts) {
    this.#path = path;
    this.#limits = limits;
    this.#hold = hold;
    this.#next = next;
  }

  pin(): Seen {
    const seen = this.#seen();
    begin(this.#next);
    [this.#hold, this.#next] = [this.#next, this.#hold];
    this.#next.run("ROLLBACK");
    return seen;
  }

  /** Asks again when the log was restarted meanwhile; that can happen once under a hold. */
  #seen(): Seen {
    for (;;) {
      const header = this.header();
      const { log, checkpointed } = checkpoint(this.#next, "NOOP");
      const same = header === null || sameLog(header, this.header());
      if (same) return { header, frames: Math.max(log, 0), copied: checkpointed };
    }
  }

  header(): WalHeader | null {
    const bytes = this.read(0, walHeaderBytes);
    return readWalHeader(bytes);
  }

  agrees({ header, point }: Position): boolean {
    if (header === null || point.offset <= walHeaderBytes) return true;
    const from = point.offset - frameBytes(header);
    const bytes = this.read(from, from + frameHeaderBytes);
    if (bytes.length < frameHeaderBytes) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return view.getUint32(16) === point.check1 && view.getUint32(20) === point.check2;
  }

  ended({ header, point }: Position): boolean {
    const now = this.header();
    if (header === null || now === null || now.pageBytes !== header.pageBytes) return false;
    const sizeBytes = logStat(this.#path)?.size ?? 0;
    const behind = this.read(point.offset, point.offset + frameHeaderBytes);
    // A file that was cut shorter took with it what would tell.
    if (behind.length === 0 && sizeBytes !== point.offset) return false;
    if (behind.length > 0 && (isOf(header, behind) || isOf(now, behind))) return false;
    return this.#endsBefore(point.offset, now);
  }

  /** Whether the log that is there now has not come so far, committed or not. */
  #endsBefore(offset: number, header: WalHeader): boolean {
    const chunkBytes = 256 * frameBytes(header);
    for (let at = firstPoint(header); at.offset < offset; ) {
      const bytes = this.read(at.offset, Math.min(at.offset + chunkBytes, offset));
      let last = at;
      const each = (next: WalPoint) => {
        last = next;
      };
      readFrames(header, bytes, { from: at, each });
      if (last.offset === at.offset) return true;
      at = last;
    }
    return false;
  }

  read(from: number, end: number): Uint8Array {
    const log = this.#openLog();
    if (log === null) return new Uint8Array(0);
    const buffer = new Uint8Array(end - from);
    let at = 0;
    while (at < buffer.length) {
      const n = readSync(log, buffer, at, buffer.length - at, from + at);
      if (n === 0) break;
      at += n;
    }
    return buffer.subarray(0, at);
  }

  /** Reading, opening and closing the log does no harm to locks: SQLite has none on it. */
  #openLog(): number | null {
    const found = logStat(this.#path);
    if (found !== null && this.#log?.inode === found.ino) return this.#log.fd;
    if (this.#log !== null) closeSync(this.#log.fd);
    this.#log = null;
    if (!found?.isFile()) return null;
    const fd = openSync(`${this.#path}-wal`, modes.O_RDONLY | modes.O_NOFOLLOW);
    this.#log = { fd, inode: fstatSync(fd).ino };
    return fd;
  }

  scan(position: Position, header: WalHeader, frames: number): Scan {
    const { segmentBytes, scanBytes } = this.#limits;
    const size = frameBytes(header);
    const bound = walHeaderBytes + frames * size;
    const start = position.point.offset;
    const chunkBytes = Math.max(Math.floor(segmentBytes / size), 1) * size;
    const found = new Cuts(start, chunkBytes);
    let at = readingPoint(position, header);
    for (;;) {
      const bytes = this.read(at.offset, Math.min(at.offset + chunkBytes, bound));
      let last = at;
      readFrames(header, bytes, {
        from: at,
        each: (point, commit) => {
          last = point;
          found.frame(point, commit);
        },
      });
      const whole = last.offset - at.offset === chunkBytes;
      at = last;
      if (!whole) return { ends: found.ends(), more: false };
      if (found.any && at.offset - start >= scanBytes) return { ends: found.ends(), more: true };
    }
  }

  copy(): void {
    checkpoint(this.#next, "PASSIVE");
  }

  seal(position: Position, header: WalHeader): Seal | null {
    if (!begunWriting(this.#next)) return null;
    try {
      this.#hold.run("ROLLBACK");
      const { log: frames } = checkpoint(this.#hold, "NOOP");
      const { ends, more } = this.scan(position, header, frames);
      if (more || ends.length > 1) return null;
      const [end = position.point] = ends;
      const bytes = this.read(position.point.offset, end.offset);
      const done = checkpoint(this.#hold, "PASSIVE");
      const all = end.offset === walHeaderBytes + frames * frameBytes(header);
      const sealed = all && done.log === frames && done.checkpointed === frames;
      return { tail: bytes.length === 0 ? null : { bytes, end }, sealed };
    } finally {
      if (!this.#hold.inTransaction) begin(this.#hold);
      this.#next.run("ROLLBACK");
    }
  }

  abandon(): void {
    this.#hold.run("ROLLBACK");
    try {
      checkpoint(this.#hold, "TRUNCATE");
    } finally {
      begin(this.#hold);
    }
  }

  snapshot() {
    const db = connect(this.#path, this.#limits);
    begin(db);
    this.#snapshots.add(db);
    this.#file ??= openSync(this.#path, modes.O_RDONLY | modes.O_NOFOLLOW);
    const fd = this.#file;
    return {
      pieces: () => readWhole(fd),
      end: () => {
        if (this.#snapshots.delete(db)) db.close();
      },
    };
  }

  close(): void {
    for (const db of this.#snapshots) db.close();
    this.#hold.close();
    this.#next.close();
    if (this.#file !== null) closeSync(this.#file);
    if (this.#log !== null) closeSync(this.#log.fd);
  }
}

async function* readWhole(fd: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; ; ) {
    const buffer = new Uint8Array(snapshotReadBytes);
    const { bytesRead } = await readAsync(fd, buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function begunWriting(db: Database): boolean {
  try {
    db.run("BEGIN IMMEDIATE");
    return true;
  } catch (error) {
    if (error instanceof SQLiteError && error.code?.startsWith("SQLITE_BUSY")) return false;
    throw error;
  }
}

/** Whether these bytes begin as a frame of this log does, or are too few to tell. */
function isOf(header: WalHeader, frame: Uint8Array): boolean {
  if (frame.length < frameHeaderBytes) return true;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return view.getUint32(8) === header.salt1 && view.getUint32(12) === header.salt2;
}

/** Where to cut what is shipped: at most `pieceBytes` each, and the last one at a commit. */
class Cuts {
  readonly #pieceBytes: number;
  readonly #passed: WalPoint[] = [];
  #start: number;
  #latest: WalPoint | null = null;
  #commit: WalPoint | null = null;

  constructor(start: number, pieceBytes: number) {
    this.#start = start;
    this.#pieceBytes = pieceBytes;
  }

  get any(): boolean {
    return this.#commit !== null;
  }

  frame(point: WalPoint, commit: boolean): void {
    if (this.#latest !== null && point.offset - this.#start > this.#pieceBytes) {
      this.#passed.push(this.#latest);
      this.#start = this.#latest.offset;
    }
    this.#latest = point;
    if (commit) this.#commit = point;
  }

  ends(): WalPoint[] {
    const { offset } = this.#commit ?? { offset: 0 };
    const before = this.#passed.filter((point) => point.offset < offset);
    return this.#commit === null ? [] : [...before, this.#commit];
  }
}
