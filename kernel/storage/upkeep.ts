/**
 * The database's upkeep: whose rows it has, and giving its free pages back to the disk.
 *
 * Giving back goes on in small steps, so that others are served meanwhile. It is what ends read-only mode after things
 * were removed (the file is made with `auto_vacuum = INCREMENTAL`).
 */
import type { Engine } from "./engine.ts";
import type { StorageLimits } from "./limits.ts";
import type { Reader, Storage } from "./storage.ts";

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
