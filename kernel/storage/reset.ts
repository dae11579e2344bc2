/**
 * Factory reset: everything in a data directory is erased when a kernel takes it over next.
 *
 * Rules: asked for by one file with the exact words; done under the directory's lock, before the
 * database is looked at; the key goes first, because what it sealed is lost with it, the database
 * last and then the asking itself, so that a power cut in the middle is gone on with at next start.
 * The programs of upgrades stay, with which of them runs: it may be one of them that erases. What was
 * tried with them goes, because the reasons name apps.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { syncPath } from "../sync.ts";

/** What a person types, and what the file holds. */
export const eraseWords = "erase everything";

const askedPath = (dataDir: string): string => join(dataDir, "run", "reset");

/** Asks for it; on the disk when this returns. */
export function askReset(dataDir: string): void {
  mkdirSync(join(dataDir, "run"), { recursive: true, mode: 0o700 });
  writeFileSync(askedPath(dataDir), eraseWords, { mode: 0o600, flush: true });
  syncPath(join(dataDir, "run"));
}

function isAsked(dataDir: string): boolean {
  try {
    return readFileSync(askedPath(dataDir), "utf8") === eraseWords;
  } catch {
    return false;
  }
}

/** Takes the history out of the state of the slots; one that cannot be read is as none (proc/upgrade). */
function forgetAttempts(path: string): void {
  try {
    const state = JSON.parse(readFileSync(path, "utf8")) as object;
    const left = { ...state, attempt: null, blocked: {}, history: [] };
    writeFileSync(`${path}.new`, JSON.stringify(left), { mode: 0o600, flush: true });
    renameSync(`${path}.new`, path);
    syncPath(dirname(path));
  } catch {
    rmSync(path, { force: true });
  }
}

/** Erases what the directory holds, if that was asked for. Its lock must be held. */
export function resetIfAsked(dataDir: string): boolean {
  if (!isAsked(dataDir)) return false;
  const remove = (...names: string[]) =>
    rmSync(join(dataDir, ...names), { recursive: true, force: true });
  remove("machine.key");
  syncPath(dataDir);
  const last = (name: string) => ["run", "lost+found", "data.db", "slots"].includes(name);
  for (const name of readdirSync(dataDir)) if (!last(name)) remove(name);
  remove("slots", "upload");
  forgetAttempts(join(dataDir, "slots", "slots.json"));
  const held = ["lock.db", "lock.db-journal", "fazt.pid", "reset"];
  for (const name of readdirSync(join(dataDir, "run"))) {
    if (!held.includes(name)) remove("run", name);
  }
  remove("data.db");
  syncPath(dataDir);
  remove("run", "reset");
  syncPath(join(dataDir, "run"));
  return true;
}
