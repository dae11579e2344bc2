/**
 * Copies of databases that are in use, as they were at one moment, without a copy on the disk.
 *
 * A read transaction pins the moment M. From then on nothing past M reaches the database file (a
 * checkpoint stops at the oldest reader) and no frame up to M leaves the WAL (it is not begun anew
 * under a reader). So the file, read at leisure, and after it the WAL, give SQLite all of M,
 * whatever is written meanwhile: writers are never held up, only the WAL grows. Bytes of the WAL
 * past M are whole commits or are cut off by SQLite's own checksums when it puts the two together.
 *
 * Rules
 * 1. Only in a process of its own: closing a database file that is open in SQLite drops its locks.
 * 2. A volume belongs to its app and may be anything: links and pipes are left out, and what cannot
 *    be locked is copied as it is and said to be `unlocked`. `data.db` must be lockable.
 * 3. A volume in another journal mode has no WAL: its writers wait while it is copied.
 */
import { constants, Database } from "bun:sqlite";
import { closeSync, constants as flags, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { SysError } from "../../errno.ts";
import { asSysError } from "../engine.ts";
import { recordBytesMax, type Section } from "./format.ts";

/** A database whose moment is pinned until `release`. */
export interface Held {
  readonly sections: readonly Section[];
  readonly locked: boolean;
  release(): void;
}

/** Milliseconds to wait for a volume whose app writes without pause. */
const lockWaitMs = 2_000;
/** The WAL a copy may make grow, in bytes; beyond it the receiver is too slow. */
const walBytesMax = 4 * 1024 * 1024 * 1024;

function isPlain(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Opens for reading what is a plain file itself, and no link to one. */
function openPlain(path: string): number {
  const file = openSync(path, flags.O_RDONLY | flags.O_NOFOLLOW | flags.O_NONBLOCK);
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  throw new SysError("EBADMSG", `cannot copy "${path}": not a plain file`);
}

/** `sizeBytes` bytes of a file in pieces; zeros where it has become shorter. */
function* pieces(file: number, sizeBytes: number, walFile: number | null): Generator<Uint8Array> {
  for (let at = 0; at < sizeBytes; ) {
    const piece = new Uint8Array(Math.min(recordBytesMax, sizeBytes - at));
    const read = readSync(file, piece, 0, piece.length, at);
    // A checkpoint cuts pages that are free at M; what SQLite reads never lies there.
    at += read === 0 ? piece.length : read;
    yield read === 0 ? piece : piece.subarray(0, read);
    if (walFile !== null && fstatSync(walFile).size > walBytesMax) throw tooSlow();
  }
}

function tooSlow(): SysError {
  return new SysError("EAGAIN", "cannot back up: the receiver is too slow for what is written", {
    hint: "write the backup to a nearer place, or when the machine is quiet",
  });
}

/** A read transaction on the database; throws what SQLite says. */
function lock(path: string): Database {
  const how = constants.SQLITE_OPEN_READWRITE | constants.SQLITE_OPEN_NOFOLLOW;
  const db = new Database(path, how);
  try {
    db.run(`PRAGMA busy_timeout = ${lockWaitMs}`);
    db.run("PRAGMA trusted_schema = OFF");
    db.run("PRAGMA wal_autocheckpoint = 0");
    // An app may not make its log anew: the last to close the database leaves it.
    db.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
    db.run("BEGIN");
    db.query("SELECT count(*) FROM sqlite_schema").get();
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function isWal(db: Database): boolean {
  const row = db.query<{ journal_mode: string }, []>("PRAGMA journal_mode").get();
  return row?.journal_mode === "wal";
}

/** Pins a database. EBADMSG, EBUSY, EIO, EACCES when it cannot be and `mustLock` is true. */
export function hold(path: string, options: { name: string; mustLock: boolean }): Held {
  const { name, mustLock } = options;
  const opened: number[] = [];
  let db: Database | null = null;
  const release = (): void => {
    if (db?.inTransaction) db.run("ROLLBACK");
    db?.close();
    for (const file of opened.splice(0)) closeSync(file);
  };
  try {
    if (isPlain(path) && ["-wal", "-shm", "-journal"].every((end) => mayBe(path + end))) {
      try {
        db = lock(path);
      } catch (error) {
        if (mustLock) throw asSysError(error, `cannot back up "${name}"`) ?? error;
      }
    }
    const main = openPlain(path);
    opened.push(main);
    const wal =
      (db === null || isWal(db)) && isPlain(`${path}-wal`) ? openPlain(`${path}-wal`) : null;
    if (wal !== null) opened.push(wal);
    const section = (suffix: string, file: number): Section => {
      const sizeBytes = fstatSync(file).size;
      return { name: name + suffix, read: () => pieces(file, sizeBytes, wal) };
    };
    const sections = [section("", main), ...(wal === null ? [] : [section("-wal", wal)])];
    return { sections, locked: db !== null, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** Whether a file beside the database is what SQLite makes, or is not there. */
function mayBe(path: string): boolean {
  return isPlain(path) || lstatSync(path, { throwIfNoEntry: false }) === undefined;
}
