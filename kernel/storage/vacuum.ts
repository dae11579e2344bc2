/**
 * Gives free pages of the database back to the disk, a few at a time, so that removing things on a
 * full disk really ends read-only mode (the file is made with `auto_vacuum = INCREMENTAL`).
 */
import type { Engine } from "./engine.ts";
import type { StorageLimits } from "./limits.ts";
import type { Storage } from "./storage.ts";

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
