/**
 * The data directory: its layout, its modes, and the lock that makes it one process's own.
 *
 *     data.db  logs.db  machine.key  volumes/<app-id>/app.db  run/{lock.db,fazt.pid,ballast,…}
 *
 * Rules: directories are 0700 (those of volumes, below one, 0755), files 0600; a directory that holds anything else's files is
 * refused untouched; the lock is a lock of the operating system on `run/lock.db` (held through
 * SQLite), so that it is free the moment its holder dies, however it dies.
 */
import { Database } from "bun:sqlite";
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "../assert.ts";
import { errnos, isErrno, SysError } from "../errno.ts";
import { openRefusal } from "./engine.ts";
import { applicationId } from "./migrate.ts";
import { resetIfAsked } from "./reset.ts";

/** Names that may be in a data directory before there is a `data.db`. */
const ownNames = [
  "data.db",
  "logs.db",
  "machine.key",
  "volumes",
  "run",
  "slots",
  "restore",
  "lost+found",
] as const;

/** A data directory that is ours until `release`. */
export interface DataDir {
  readonly path: string;
  readonly database: string;
  readonly logs: string;
  /** The directory of an app's SQL volume, made when it is absent. */
  volume(appId: string): string;
  dropVolume(appId: string): Promise<void>;
  /** Names of the directories of volumes. */
  volumes(): string[];
  /** Sets space aside, if it is not, for the day the disk is full. Never fails. */
  keepBallast(sizeBytes: number): void;
  /** Frees the lock. Idempotent. */
  release(): void;
}

/**
 * Gives up the space set aside, so that a kernel starts on a full disk and its owner can log in
 * and make room. False when there was none.
 */
export function dropBallast(path: string): boolean {
  try {
    unlinkSync(ballastPath(path));
    return true;
  } catch {
    // Not there, or the directory is not ours to change: the refusal that led here stands.
    return false;
  }
}

const ballastPath = (path: string): string => join(path, "run", "ballast");

function keepBallast(path: string, sizeBytes: number): void {
  const file = ballastPath(path);
  if (existsSync(file)) return;
  try {
    writeFileSync(file, new Uint8Array(sizeBytes), { mode: 0o600 });
  } catch {
    // Half a ballast is none, and would keep a whole one from being made later.
    rmSync(file, { force: true });
  }
}

/**
 * Makes or takes over a data directory. EBUSY (a kernel runs on it; names its pid), EBADMSG
 * (not a data directory), ENOTDIR, EACCES, EROFS, ENOSPC.
 */
export function takeDataDir(path: string): DataDir {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    refuseForeign(path);
    makeDirectory(path);
    makeDirectory(join(path, "run"));
    makeDirectory(join(path, "volumes"));
  } catch (error) {
    throw asRefusal(error, path);
  }
  const lock = takeLock(path);
  const database = join(path, "data.db");
  try {
    if (resetIfAsked(path)) makeDirectory(join(path, "volumes"));
    refuseForeignDatabase(database, existsSync(join(path, "machine.key")));
  } catch (error) {
    lock.release();
    throw asRefusal(error, path);
  }
  return {
    path,
    database,
    logs: join(path, "logs.db"),
    // An app's own user looks into its volume; nobody else gets as far as here.
    volume: (appId) => makeDirectory(volumePath(path, appId), 0o755),
    dropVolume: (appId) => rm(volumePath(path, appId), { recursive: true, force: true }),
    volumes: () => readdirSync(join(path, "volumes")),
    keepBallast: (sizeBytes) => keepBallast(path, sizeBytes),
    release: lock.release,
  };
}

function makeDirectory(path: string, mode = 0o700): string {
  mkdirSync(path, { recursive: true, mode });
  if ((statSync(path).mode & 0o777) !== mode) chmodSync(path, mode);
  return path;
}

/** Before a database is made in it, a directory must be empty or hold only what is ours. */
function refuseForeign(path: string): void {
  accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  if (existsSync(join(path, "data.db"))) return;
  const foreign = readdirSync(path).find(
    (name) => !ownNames.some((own) => name === own || name.startsWith(`${own}-`)),
  );
  if (foreign === undefined) return;
  throw new SysError(
    "EBADMSG",
    `cannot use "${path}" as data directory: it holds "${foreign}" and no data.db`,
    { hint: "name an empty directory, or one that fazt made" },
  );
}

/**
 * Looks at a database before SQLite does, because opening one changes it. EBADMSG. Not ours is what
 * names another program, or names none and has a schema (SQLite file format, 1.3 and 1.6: page 1
 * holds the application id and the schema's first cells, so that no crash parts the two).
 */
function refuseForeignDatabase(path: string, usedBefore: boolean): void {
  if (!existsSync(path)) return;
  const head = headOf(path);
  const refuse = (state: string, hint: string): never => {
    throw new SysError("EBADMSG", `cannot open "${path}": ${state}`, { hint });
  };
  if (head.length === 0 && usedBefore) {
    refuse("it is empty, and was not", "restore a backup into an empty directory");
  }
  if (head.length < headBytes || head.toString("latin1", 0, 15) !== "SQLite format 3") return;
  const id = head.readUInt32BE(68);
  const schemaCells = head.readUInt16BE(103);
  if (id === applicationId || (id === 0 && schemaCells === 0)) return;
  refuse("another program made this database", "name an empty directory, or one that fazt made");
}

/** The file's header and that of its first page. */
const headBytes = 108;

function headOf(path: string): Buffer {
  const file = openSync(path, "r");
  try {
    const head = Buffer.alloc(headBytes);
    return head.subarray(0, readSync(file, head, 0, headBytes, 0));
  } finally {
    closeSync(file);
  }
}

function volumePath(path: string, appId: string): string {
  assert(/^[a-z0-9_]{1,64}$/.test(appId), `"${appId}" is an app id`);
  return join(path, "volumes", appId);
}

function lockPaths(path: string): { readonly pidFile: string; readonly lockFile: string } {
  return { pidFile: join(path, "run", "fazt.pid"), lockFile: join(path, "run", "lock.db") };
}

function takeLock(path: string): { release(): void } {
  const { pidFile, lockFile } = lockPaths(path);
  let db: Database | null = null;
  try {
    db = new Database(lockFile, { create: true, readwrite: true });
    chmodSync(lockFile, 0o600);
    db.run("PRAGMA locking_mode = EXCLUSIVE");
    db.run("PRAGMA journal_mode = MEMORY");
    db.run("BEGIN EXCLUSIVE");
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    db?.close();
    throw asLockRefusal(error, path);
  }
  const held = db;
  let open = true;
  return {
    release: () => {
      if (!open) return;
      open = false;
      rmSync(pidFile, { force: true });
      held.close();
    },
  };
}

function asLockRefusal(error: unknown, path: string): unknown {
  const { pidFile, lockFile } = lockPaths(path);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code.startsWith("SQLITE_BUSY")) {
    return new SysError("EBUSY", `cannot open "${path}": kernel ${pidOf(pidFile)} runs on it`, {
      hint: "stop that kernel first, or name another data directory with --data",
    });
  }
  if (code === "SQLITE_NOTADB" || code.startsWith("SQLITE_CORRUPT")) {
    return new SysError("EBADMSG", `cannot open "${path}": run/lock.db is not ours`, {
      hint: "remove run/lock.db when no kernel runs on this directory",
      cause: error,
    });
  }
  return openRefusal(error, lockFile) ?? asRefusal(error, path);
}

function pidOf(pidFile: string): string {
  try {
    return `with pid ${readFileSync(pidFile, "utf8").trim()}`;
  } catch {
    // The holder took the lock this very moment and has not written its pid yet.
    return "(pid not known yet)";
  }
}

const fsErrnos: Readonly<Record<string, string>> = { EPERM: "EACCES", EEXIST: "ENOTDIR" };

function asRefusal(error: unknown, path: string): unknown {
  if (error instanceof SysError || !(error instanceof Error) || !("code" in error)) return error;
  const found = fsErrnos[String(error.code)] ?? error.code;
  const code = isErrno(found) ? found : "EIO";
  return new SysError(code, `cannot use "${path}" as data directory: ${errnos[code].meaning}`, {
    hint: "name a directory that this user may read and write",
    cause: error,
  });
}
