/**
 * A release's migrations, applied to the app's volume.
 *
 * Invariants
 * 1. All that are pending are applied in one transaction, in order: all of them, or nothing.
 * 2. Each is applied once; `_fazt_migration` in the volume says which, with the hash of its bytes.
 * 3. A file that was applied never changes, and a new one sorts after all that were applied.
 * Files that were applied and are not in this release (a rollback) are left alone.
 */
import type { DatabaseSync } from "node:sqlite";
import { SysError } from "../../errno.ts";
import { asSysError, fenced } from "./connection.ts";
import type { MigrateTask, MigrationFile } from "./task.ts";

const ledger = `CREATE TABLE IF NOT EXISTS _fazt_migration (
  name TEXT PRIMARY KEY,
  hash TEXT NOT NULL,
  applied_at INTEGER NOT NULL
) STRICT`;

export interface Applied {
  readonly name: string;
  readonly hash: string;
}

/** What is left to apply, in order. EINVAL naming the file. Pure. */
export function pending(
  files: readonly MigrationFile[],
  applied: readonly Applied[],
): MigrationFile[] {
  const hashes = new Map(applied.map(({ name, hash }) => [name, hash]));
  const last = applied.reduce((most, { name }) => (name > most ? name : most), "");
  return files.filter(({ name, hash }) => {
    const known = hashes.get(name);
    if (known === hash) return false;
    if (known !== undefined) {
      throw refuse(name, "it was applied already and has changed", "put the change in a new file");
    }
    if (name < last) {
      throw refuse(name, `it sorts before "${last}", which was applied`, "give it a later name");
    }
    return true;
  });
}

const refuse = (name: string, state: string, hint: string): SysError =>
  new SysError("EINVAL", `cannot apply migration "${name}": ${state}`, { hint });

/** Names of those the volume has not had. EINVAL. */
export function pendingIn(db: DatabaseSync, files: readonly MigrationFile[]): string[] {
  return pending(files, appliedIn(db)).map(({ name }) => name);
}

/** Applies them; answers the names. EINVAL, EBUSY, EDQUOT, EBADMSG. */
export function migrate(db: DatabaseSync, { files, at }: MigrateTask): string[] {
  try {
    // Nothing is written, and nobody is waited for, when there is nothing to do.
    if (pending(files, appliedIn(db)).length === 0) return [];
    db.exec("BEGIN IMMEDIATE");
  } catch (error) {
    throw asSysError(error, "cannot apply migrations");
  }
  try {
    db.exec(ledger);
    const left = pending(files, appliedIn(db));
    for (const file of left) apply(db, file, at);
    commit(db);
    return left.map(({ name }) => name);
  } catch (error) {
    undo(db);
    throw error;
  }
}

function appliedIn(db: DatabaseSync): Applied[] {
  const there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_fazt_migration'";
  if (db.prepare(there).get() === undefined) return [];
  const rows = db.prepare("SELECT name, hash FROM _fazt_migration").all();
  return rows.map(({ name, hash }) => ({ name: String(name), hash: String(hash) }));
}

function apply(db: DatabaseSync, { name, hash, sql }: MigrationFile, at: number): void {
  try {
    fenced(db, () => db.exec(sql));
    const row = "INSERT INTO _fazt_migration (name, hash, applied_at) VALUES (?, ?, ?)";
    db.prepare(row).run(name, hash, at);
  } catch (error) {
    throw asSysError(error, `cannot apply migration "${name}"`);
  }
}

/** A full volume has ended the transaction already, and undone it. */
function undo(db: DatabaseSync): void {
  try {
    db.exec("ROLLBACK");
  } catch {
    // The failure that brought us here is the one to report; closing undoes what is left.
  }
}

/** Deferred constraints are tested here. */
function commit(db: DatabaseSync): void {
  try {
    db.exec("COMMIT");
  } catch (error) {
    throw asSysError(error, "cannot apply migrations");
  }
}
