/**
 * EDD migrations: a schema only grows, so that an older binary runs on a newer database.
 *
 * Invariants: versions are unique over all domains; a migration that has been released never
 * changes; each is applied in one transaction with the record of it; `PRAGMA user_version` is the
 * highest one applied; a database with a higher version than ours is opened as it is.
 */
import { join } from "node:path";
import { assert } from "../assert.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import { type Engine, openEngine } from "./engine.ts";
import { limits } from "./limits.ts";
import { lintMigration } from "./lint.ts";

/** One step of the schema. `version` is global: the next free number over all domains. */
export interface Migration {
  readonly version: number;
  readonly domain: string;
  readonly sql: string;
}

/** One step as this database knows it. */
export interface MigrationState {
  readonly version: number;
  readonly domain: string;
  /** Unix ms, or null while it is pending. */
  readonly appliedAt: number | null;
  /** False when a newer binary applied it and this one does not have it. */
  readonly known: boolean;
}

/** "fazt" in ASCII: tells our database from any other (file format offset 68). */
export const applicationId = 0x66617a74;

const ledger = `
  CREATE TABLE IF NOT EXISTS storage_migration (
    version INTEGER PRIMARY KEY,
    domain TEXT NOT NULL,
    applied_at INTEGER NOT NULL
  ) STRICT
`;

/** Refuses a database that something else made: EBADMSG. Marks a new one as ours. */
export function claimDatabase(engine: Engine, path: string): void {
  const id = engine.get<{ application_id: number }>("PRAGMA application_id")?.application_id;
  if (id === applicationId) return;
  const tables = engine.get<{ n: number }>("SELECT count(*) AS n FROM sqlite_schema")?.n;
  if (id !== 0 || tables !== 0) {
    throw new SysError("EBADMSG", `cannot open "${path}": another program made this database`, {
      hint: "name an empty directory, or one that fazt made",
    });
  }
  engine.exec(`BEGIN IMMEDIATE; PRAGMA application_id = ${applicationId}; ${ledger}; COMMIT`);
}

/** Every step, of ours and of the database's, in order of version. */
export function migrationStates(
  engine: Engine,
  migrations: readonly Migration[],
): MigrationState[] {
  const applied = engine.all<{ version: number; domain: string; applied_at: number }>(
    "SELECT version, domain, applied_at FROM storage_migration",
  );
  const known = new Set(migrations.map((migration) => migration.version));
  const appliedVersions = new Set(applied.map((row) => row.version));
  return [
    ...applied.map((row) => ({
      version: row.version,
      domain: row.domain,
      appliedAt: row.applied_at,
      known: known.has(row.version),
    })),
    ...migrations
      .filter((migration) => !appliedVersions.has(migration.version))
      .map(({ version, domain }) => ({ version, domain, appliedAt: null, known: true })),
  ].sort((a, b) => a.version - b.version);
}

/** Applies what is pending, in order. Each is linted first: one that is not EDD is our defect. */
export function applyMigrations(
  engine: Engine,
  migrations: readonly Migration[],
  now: () => number,
): void {
  const versions = new Set(migrations.map((migration) => migration.version));
  assert(versions.size === migrations.length, "versions of migrations are unique");
  const applied = new Set(
    engine.all<{ version: number }>("SELECT version FROM storage_migration").map((r) => r.version),
  );
  const pending = migrations.filter((migration) => !applied.has(migration.version));
  for (const migration of pending.toSorted((a, b) => a.version - b.version)) {
    applyOne(engine, migration, now());
  }
}

function applyOne(engine: Engine, migration: Migration, nowMs: number): void {
  const { version, domain, sql } = migration;
  const faults = lintMigration(migration);
  assert(faults.length === 0, `migration ${version} of ${domain} is EDD: ${faults.join("; ")}`);
  engine.run("BEGIN IMMEDIATE");
  try {
    engine.exec(sql);
    engine.run("INSERT INTO storage_migration VALUES (?, ?, ?)", version, domain, nowMs);
    const highest = Math.max(version, schemaVersion(engine));
    engine.exec(`PRAGMA user_version = ${highest}`);
    engine.run("COMMIT");
  } catch (error) {
    if (engine.inTransaction()) engine.run("ROLLBACK");
    throw error;
  }
}

/** The highest migration applied, by whichever binary. */
export function schemaVersion(engine: Engine): number {
  return engine.get<{ user_version: number }>("PRAGMA user_version")?.user_version ?? 0;
}

export interface RehearseOptions {
  readonly machine: Machine;
  readonly dataDir: string;
  readonly migrations: readonly Migration[];
}

/**
 * Whether this program can work with a database that another kernel has open: opens it beside that
 * one, brings the schema up to date, reads of every table, writes, and closes. The log is not copied
 * into the file here: a replicator may not have read it. Answers the schema's version. EBADMSG,
 * EACCES, EROFS, ENOSPC, EIO.
 */
export function rehearse({ machine, dataDir, migrations }: RehearseOptions): number {
  const path = join(dataDir, "data.db");
  const engine = openEngine({ path, synchronous: "FULL", limits });
  try {
    engine.exec("PRAGMA wal_autocheckpoint = 0");
    applyMigrations(engine, migrations, () => machine.now());
    const tables = engine.all<{ name: string }>(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'",
    );
    for (const { name } of tables) {
      engine.get(`SELECT * FROM "${name.replaceAll('"', '""')}" LIMIT 1`);
    }
    engine.run("UPDATE storage_migration SET domain = domain");
    return schemaVersion(engine);
  } finally {
    engine.close();
  }
}
