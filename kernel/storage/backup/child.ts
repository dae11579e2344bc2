/**
 * The front page of storage's other process: `fazt storage-child` writes one backup to its standard
 * output, or copies one volume, and ends. It is a process of its own because it opens the database's file as a file, and
 * because hashing and encrypting gigabytes must not hold up those who are served.
 *
 * It reads its job as JSON from standard input (a passphrase never stands on a command line). A
 * failure is one JSON line on standard error, `{code,message,hint}`, and exit code 1; what could
 * not be locked is a line `{warning}`.
 */

import { constants, Database } from "bun:sqlite";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../../errno.ts";
import { realMachine } from "../../machine.ts";
import { type IdleWork, yieldEntirely, yieldToServed } from "../../yielding.ts";
import { type Held, hold } from "./copy.ts";
import { type Section, writeBackup } from "./format.ts";
import { seal } from "./seal.ts";

/** What the process is told. */
export interface BackupJob {
  readonly dataDir: string;
  readonly fazt: string;
  /** Unix ms. */
  readonly createdAt: number;
  /** Age recipients; with them or a passphrase the backup is encrypted and holds the machine key. */
  readonly recipients: readonly string[];
  readonly passphrase: string | null;
}

/** The other job: a volume's files into another directory. */
export interface CopyJob {
  readonly from: string;
  readonly to: string;
}

function warn(warning: string): void {
  writeSync(2, `${JSON.stringify({ warning })}\n`);
}

/** Every database of the directory, pinned within milliseconds of each other. */
function holdAll(dataDir: string): { held: Held[]; unlocked: string[] } {
  const held = [hold(join(dataDir, "data.db"), { name: "data.db", mustLock: true })];
  const unlocked: string[] = [];
  for (const { name: id, isDirectory } of entries(join(dataDir, "volumes"))) {
    if (!isDirectory || !/^[a-z0-9_]{1,64}$/.test(id)) continue;
    const name = `volumes/${id}/app.db`;
    try {
      const one = hold(join(dataDir, name), { name, mustLock: false });
      held.push(one);
      if (!one.locked) unlocked.push(name);
    } catch (error) {
      // An app that has never opened its volume has none; what else is there is not a database.
      if ((error as { code?: unknown }).code !== "ENOENT") warn(`left out "${name}": ${error}`);
    }
  }
  if (unlocked.length > 0) warn(`copied without a lock: ${unlocked.join(", ")}`);
  return { held, unlocked };
}

function entries(path: string): { name: string; isDirectory: boolean }[] {
  const found = readdirSync(path, { withFileTypes: true });
  return found.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
}

function schemaVersion(dataDir: string): number {
  const db = new Database(join(dataDir, "data.db"), constants.SQLITE_OPEN_READONLY);
  try {
    return db.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0;
  } finally {
    db.close();
  }
}

function* plain(job: BackupJob, encrypted: boolean): Generator<Uint8Array> {
  const version = schemaVersion(job.dataDir);
  const { held, unlocked } = holdAll(job.dataDir);
  try {
    const sections: Section[] = held.flatMap((one) => one.sections);
    if (encrypted) {
      const key = readFileSync(join(job.dataDir, "machine.key"));
      sections.unshift({ name: "machine.key", read: () => [key] });
    }
    const { fazt, createdAt } = job;
    yield* writeBackup({ fazt, createdAt, schemaVersion: version, unlocked }, sections);
  } finally {
    for (const one of held) one.release();
  }
}

/** Writes all of it; a pipe takes what it can. */
function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

/** Tells after every piece how long its making took; waiting for the receiver is no work. */
function* paced(pieces: Iterable<Uint8Array>, work: IdleWork, nowMs: () => number) {
  let startedMs = nowMs();
  for (const piece of pieces) {
    work.workedFor(nowMs() - startedMs);
    yield piece;
    startedMs = nowMs();
  }
}

async function backUp(job: BackupJob): Promise<void> {
  const encrypted = job.recipients.length > 0 || job.passphrase !== null;
  const machine = realMachine();
  const nowMs = () => machine.monotonicMs();
  const bytes = paced(plain(job, encrypted), yieldEntirely(nowMs), nowMs);
  if (!encrypted) for (const piece of bytes) writeAll(piece);
  else for await (const piece of await seal(bytes, job)) writeAll(piece);
}

/** Copies a volume as it is now; nothing when there is none. */
function duplicate({ from, to }: CopyJob): void {
  if (!existsSync(join(from, "app.db"))) return;
  const held = hold(join(from, "app.db"), { name: "app.db", mustLock: true });
  try {
    for (const { name, read } of held.sections) {
      const file = openSync(join(to, name), "wx", 0o600);
      try {
        for (const bytes of read()) {
          for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
        }
      } finally {
        closeSync(file);
      }
    }
  } finally {
    held.release();
  }
}

function refusalOf(error: unknown): SysError {
  if (error instanceof SysError) return error;
  const code = (error as { code?: unknown }).code;
  if (code !== "ENOSPC") return new SysError("EIO", `cannot copy the data: ${error}`);
  return new SysError("ENOSPC", "cannot copy the data: no space left", {
    hint: "free space for a copy of the app's volume",
  });
}

/** The life of the process. Answers its exit code. */
export async function runStorageChild(): Promise<number> {
  try {
    const job = (await Bun.stdin.json()) as BackupJob | CopyJob;
    if ("to" in job) {
      // A deploy waits for it.
      yieldToServed();
      duplicate(job);
    } else await backUp(job);
    return 0;
  } catch (error) {
    writeSync(2, `${JSON.stringify(refusalOf(error).toBody(null))}\n`);
    return 1;
  }
}
