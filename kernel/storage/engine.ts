/**
 * One open SQLite file: its settings, its prepared statements, and SQLite's words turned into errno.
 *
 * Rules: nobody opens and closes the file by fs while it is open here (POSIX drops SQLite's locks
 * with the first close in the process); `close` is always called (at exit Bun would checkpoint and
 * truncate the WAL under a replicator's feet).
 */

import { Database, SQLiteError, type Statement } from "bun:sqlite";
import { chmodSync } from "node:fs";
import { assert } from "../assert.ts";
import { type Errno, errnos, SysError } from "../errno.ts";
import { whyNotOpened } from "./disk.ts";
import type { StorageLimits } from "./limits.ts";
import type { SqlValue, Tx } from "./storage.ts";

/** The first SQLite whose WAL restart is free of the reset defect (sqlite.org/wal.html). */
const sqliteVersionMin = [3, 51, 3] as const;

export interface EngineOptions {
  readonly path: string;
  /** FULL: a commit is on the disk. NORMAL: whole after a power cut, the last commits may lack. */
  readonly synchronous: "FULL" | "NORMAL";
  readonly limits: StorageLimits;
}

/** An open database. `run`, `get` and `all` share the statement cache. */
export interface Engine extends Tx {
  /** Several statements without parameters or results. */
  exec(sql: string): void;
  /** Whether SQLite holds a transaction open. */
  inTransaction(): boolean;
  /** Copies the WAL into the file as far as no reader hinders it, and closes. Idempotent. */
  close(): void;
}

type Prepared = Statement<unknown, SqlValue[]>;

/** Opens or makes a database. EBADMSG, EACCES, EROFS, ENOSPC, EIO. */
export function openEngine(options: EngineOptions): Engine {
  const { path, limits } = options;
  try {
    const db = new Database(path, { create: true, readwrite: true });
    try {
      // By path, never by descriptor; WAL and shm files take the mode of the database file.
      chmodSync(path, 0o600);
      configure(db, options);
      return new OpenEngine(db, limits.statementsMax);
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    throw openRefusal(error, path) ?? error;
  }
}

/** The machine's refusal to open a database, or null when the error is something else. */
export function openRefusal(error: unknown, path: string): SysError | null {
  const action = `cannot open "${path}"`;
  if (!(error instanceof SQLiteError && error.code?.startsWith("SQLITE_CANTOPEN"))) {
    return asSysError(error, action);
  }
  const code = whyNotOpened(path);
  return refusal(code, `${action}: ${errnos[code].meaning}`, error);
}

function configure(db: Database, { synchronous, limits }: EngineOptions): void {
  assertVersion(db);
  db.run(`PRAGMA busy_timeout = ${limits.busyTimeoutMs}`);
  db.run(`PRAGMA page_size = ${limits.pageBytes}`);
  // Setting auto_vacuum commits, every time; a replicator may not have read the log yet.
  db.run("PRAGMA wal_autocheckpoint = 0");
  db.run("PRAGMA auto_vacuum = INCREMENTAL");
  db.run("PRAGMA journal_mode = WAL");
  db.run(`PRAGMA synchronous = ${synchronous}`);
  db.run("PRAGMA foreign_keys = OFF");
  db.run("PRAGMA trusted_schema = OFF");
  db.run("PRAGMA temp_store = MEMORY");
  db.run(`PRAGMA wal_autocheckpoint = ${limits.walCheckpointPages}`);
  db.run(`PRAGMA journal_size_limit = ${limits.walKeepBytes}`);
  const mode = db.query<{ journal_mode: string }, []>("PRAGMA journal_mode").get();
  assert(mode?.journal_mode === "wal", "the database is in WAL mode");
}

function assertVersion(db: Database): void {
  const row = db.query<{ v: string }, []>("SELECT sqlite_version() AS v").get();
  const parts = (row?.v ?? "0").split(".").map(Number);
  for (const [i, least] of sqliteVersionMin.entries()) {
    const part = parts[i] ?? 0;
    if (part > least) return;
    assert(part === least, `SQLite ${row?.v} is at least ${sqliteVersionMin.join(".")}`);
  }
}

class OpenEngine implements Engine {
  readonly #db: Database;
  readonly #statements = new Map<string, Prepared>();
  readonly #statementsMax: number;
  #open = true;

  constructor(db: Database, statementsMax: number) {
    this.#db = db;
    this.#statementsMax = statementsMax;
  }

  get<T>(sql: string, ...values: SqlValue[]): T | null {
    return this.#prepared(sql).get(...values) as T | null;
  }

  all<T>(sql: string, ...values: SqlValue[]): T[] {
    return this.#prepared(sql).all(...values) as T[];
  }

  run(sql: string, ...values: SqlValue[]): number {
    return this.#prepared(sql).run(...values).changes;
  }

  exec(sql: string): void {
    this.#db.exec(sql);
  }

  inTransaction(): boolean {
    return this.#db.inTransaction;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const statement of this.#statements.values()) statement.finalize();
    this.#statements.clear();
    this.#db.close(true);
  }

  #prepared(sql: string): Prepared {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      if (!this.#open) throw new SysError("EBUSY", "cannot use the database: it is closed");
      statement = this.#db.prepare<unknown, SqlValue[]>(sql);
      if (this.#statements.size >= this.#statementsMax) this.#evict();
    } else {
      this.#statements.delete(sql);
    }
    this.#statements.set(sql, statement);
    return statement;
  }

  #evict(): void {
    for (const [sql, statement] of this.#statements) {
      this.#statements.delete(sql);
      statement.finalize();
      return;
    }
  }
}

const hints: Partial<Record<Errno, string>> = {
  ENOSPC: "free space on the data partition, then try again",
  EBADMSG: "restore a backup into an empty data directory, or choose another directory",
  EACCES: "run as the owner of the data directory, or choose another directory",
  EROFS: "mount the data partition for writing, or choose another directory",
};

/** SQLite's result code (without its extension) → errno; null when it is a caller's own mistake. */
function errnoOf(code: string): Errno | null {
  if (code === "SQLITE_FULL") return "ENOSPC";
  if (code === "SQLITE_CORRUPT" || code === "SQLITE_NOTADB") return "EBADMSG";
  if (code.startsWith("SQLITE_CORRUPT_")) return "EBADMSG";
  if (code === "SQLITE_PERM" || code === "SQLITE_AUTH") return "EACCES";
  if (code.startsWith("SQLITE_CANTOPEN")) return "EIO";
  if (code.startsWith("SQLITE_READONLY")) return "EROFS";
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) return "EBUSY";
  if (code.startsWith("SQLITE_IOERR")) return "EIO";
  if (code === "SQLITE_TOOBIG") return "EFBIG";
  return null;
}

/** The machine's refusal behind an error of SQLite, or null when it is something else. */
export function asSysError(error: unknown, action: string): SysError | null {
  if (!(error instanceof SQLiteError)) return null;
  const code = errnoOf(error.code ?? "");
  if (code === null) return null;
  return refusal(code, `${action}: ${error.message}`, error);
}

function refusal(code: Errno, message: string, cause: unknown): SysError {
  const hint = hints[code];
  return new SysError(code, message, { cause, ...(hint === undefined ? {} : { hint }) });
}
