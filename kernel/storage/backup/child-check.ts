/**
 * The database out of a backup or a replica, looked through by SQLite before it takes any place:
 * `fazt backup-reader` does it in the sandbox, where the database is all there is to see. The file
 * may be a stranger's: nothing of its schema runs, and the log beside it is put into it.
 *
 * A failure is one JSON line on standard error, `{code,message,hint}`, and exit code 1.
 */
import { Database } from "bun:sqlite";
import { existsSync, rmSync, statfsSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { inputDir } from "../../enclosed.ts";
import { SysError } from "../../errno.ts";
import { applicationId } from "../migrate.ts";
import { damaged } from "./format.ts";

const wary = [
  "trusted_schema = OFF",
  "cell_size_check = ON",
  "mmap_size = 0",
  "temp_store = MEMORY",
];

/** Lets SQLite put file and WAL together, and look through all of it. EBADMSG. */
export function checkWhole(path: string): void {
  const wrong = (state: string, cause?: unknown): never => {
    throw Object.assign(damaged('section "data.db"', state), { cause });
  };
  let problems: string[] = [];
  try {
    const db = new Database(path, { readwrite: true });
    try {
      for (const pragma of wary) db.run(`PRAGMA ${pragma}`);
      const id = db.query<{ application_id: number }, []>("PRAGMA application_id").get();
      if (id?.application_id !== applicationId) wrong("is no database of fazt");
      const found = db.query<{ integrity_check: string }, []>("PRAGMA integrity_check(10)").all();
      problems = found.map((row) => row.integrity_check).filter((text) => text !== "ok");
      db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    } finally {
      db.close();
    }
  } catch (error) {
    if (error instanceof SysError) throw error;
    if (isFull(error, path)) throw noRoom(error);
    wrong("is no whole database", error);
  }
  if (problems[0] !== undefined) wrong(`is not whole: ${problems[0]}`);
  for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
}

/** Room below which what SQLite could not make is told as want of room: its index is 32 KB. */
const roomBytesMin = 64 * 1024;

/** Whether a failure is the disk's: SQLite says so only of the database's own pages. */
function isFull(error: unknown, path: string): boolean {
  const code = String((error as { code?: unknown }).code);
  if (code === "SQLITE_FULL") return true;
  if (!/^SQLITE_(IOERR|CANTOPEN)/.test(code)) return false;
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize < roomBytesMin;
}

const noRoom = (cause: unknown): SysError =>
  new SysError("ENOSPC", "cannot restore: no space left", {
    hint: "free space for the whole backup, then try again",
    cause,
  });

/**
 * What a database is looked at as, and its name there. `data.db`: the machine's own, out of a backup.
 * `whole.db`: any, every page and index. `quick.db`: any, its structure.
 */
export type LookAs = "data.db" | "whole.db" | "quick.db";

/** Bytes of a database that are read without a copy; what lies beyond is read as ever. */
const mapBytesMax = 2 ** 31 - 65_536;

/** Looks a database through that may be anybody's. EBADMSG, in SQLite's words. */
function checkAny(path: string, as: LookAs): void {
  let text = "nothing";
  try {
    const db = new Database(path, { readwrite: true, create: false });
    try {
      for (const pragma of wary) db.run(`PRAGMA ${pragma}`);
      // It was written a moment ago and is in memory: without a copy of each page for SQLite.
      db.run(`PRAGMA mmap_size = ${mapBytesMax}`);
      const name = as === "quick.db" ? "quick_check" : "integrity_check";
      const found = db.query<Record<string, string>, []>(`PRAGMA ${name}(1)`).get();
      text = Object.values(found ?? {})[0] ?? text;
      const count = "SELECT count(*) AS n FROM sqlite_schema";
      if (text === "ok") writeSync(1, String(db.query<{ n: number }, []>(count).get()?.n ?? 0));
    } finally {
      db.close();
    }
  } catch (error) {
    if (isFull(error, path)) throw noRoom(error);
    text = error instanceof Error ? error.message : String(error);
  }
  if (text !== "ok") throw new SysError("EBADMSG", `SQLite's check says "${text}"`);
}

/** The life of the process. Answers its exit code. */
export async function runBackupReader(): Promise<number> {
  try {
    const dir = await inputDir();
    const others = (["whole.db", "quick.db"] as const).find((as) => existsSync(join(dir, as)));
    if (others === undefined) checkWhole(join(dir, "data.db"));
    else checkAny(join(dir, others), others);
    return 0;
  } catch (error) {
    const known =
      error instanceof SysError ? error : new SysError("EIO", `cannot read the backup: ${error}`);
    writeSync(2, `${JSON.stringify(known.toBody(null))}\n`);
    return 1;
  }
}
