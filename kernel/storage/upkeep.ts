/**
 * The database's upkeep: whether it is whole, and giving its free pages back to the disk.
 *
 * Both go on in small steps with a turn of the event loop between them, so that others are served
 * meanwhile; one table is read in one go. Giving back is what ends read-only mode after things
 * were removed (the file is made with `auto_vacuum = INCREMENTAL`).
 */
import type { Engine } from "./engine.ts";
import type { StorageLimits } from "./limits.ts";
import type { Reader, Storage, StorageCheck } from "./storage.ts";

/** Checks structure, types and constraints of every table, and counts its rows. */
export async function checkDatabase(
  read: Reader,
  { checkProblemsMax }: StorageLimits,
): Promise<StorageCheck> {
  const problems: string[] = [];
  const tables: { name: string; rows: number }[] = [];
  const names = read.all<{ name: string }>(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
  );
  for (const { name } of names) {
    await turn();
    const quoted = name.replaceAll('"', '""');
    try {
      const found = read.all<{ quick_check: string }>(`PRAGMA quick_check("${quoted}")`);
      problems.push(...found.map((row) => row.quick_check).filter((text) => text !== "ok"));
      const count = read.get<{ n: number }>(`SELECT count(*) AS n FROM "${quoted}"`);
      tables.push({ name, rows: count?.n ?? 0 });
    } catch (error) {
      // A page too broken to be read at all: that is the finding.
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { ok: problems.length === 0, problems: problems.slice(0, checkProblemsMax), tables };
}

/** Whose rows a table has, by the system's convention that such a column is named `app_id`. */
export interface OwnedTable {
  readonly table: string;
  readonly appId: string;
}

/** Every app that any table has rows of, but the records of what was done. */
export function* ownersOf(read: Reader): Generator<OwnedTable> {
  const tables = read.all<{ name: string }>(
    `SELECT l.name FROM pragma_table_list l WHERE l.schema = 'main' AND l.type = 'table'
       AND l.name NOT LIKE '%\\_audit' ESCAPE '\\' AND EXISTS (
         SELECT 1 FROM pragma_table_info(l.name) c WHERE c.name = 'app_id')`,
  );
  for (const { name: table } of tables) {
    const sql = `SELECT DISTINCT app_id AS appId FROM "${table}" WHERE app_id IS NOT NULL`;
    for (const { appId } of read.all<{ appId: string }>(sql)) yield { table, appId };
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export interface VacuumOptions {
  readonly engine: Engine;
  readonly limits: StorageLimits;
  readonly write: Storage["write"];
}

/** Cuts all free pages off the file; answers the bytes. Others' writes go on in between. */
export async function giveBackPages({ engine, limits, write }: VacuumOptions): Promise<number> {
  const before = freePages(engine);
  let left = before;
  for (let free = left; free > 0; free = left) {
    await write(() => engine.exec(`PRAGMA incremental_vacuum(${limits.vacuumPages})`), {
      essential: true,
    });
    left = freePages(engine);
    if (left >= free) break;
  }
  // The file itself is cut by the checkpoint; PASSIVE waits for nobody.
  engine.exec("PRAGMA wal_checkpoint(PASSIVE)");
  return Math.max(0, before - left) * limits.pageBytes;
}

function freePages(engine: Engine): number {
  return engine.get<{ freelist_count: number }>("PRAGMA freelist_count")?.freelist_count ?? 0;
}
