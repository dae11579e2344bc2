/**
 * The database's upkeep: whose rows it has, removing what nothing refers to any more, and giving its
 * free pages back to the disk.
 *
 * Removing happens by itself, every hour and, at the disk's mark, every few minutes: what is written
 * over and what is past its time would else fill the disk. Giving back goes on in small steps, so
 * that others are served meanwhile. It is what ends read-only mode after things were removed (the
 * file is made with `auto_vacuum = INCREMENTAL`).
 */
import { assert } from "../assert.ts";
import type { Machine } from "../machine.ts";
import type { Engine } from "./engine.ts";
import type { StorageLimits } from "./limits.ts";
import type { GcReport, Reader, Storage } from "./storage.ts";

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

/** What one domain let go of. */
export type Collected = GcReport & { readonly name: string };

/** What the domains let go of, asked for by hand and by the clock. */
export class Collection {
  readonly #machine: Machine;
  readonly #limits: StorageLimits;
  readonly #collectors = new Map<string, () => Promise<GcReport>>();
  #lastMs: number;
  #running: Promise<Collected[]> | null = null;

  constructor({ machine, limits }: { machine: Machine; limits: StorageLimits }) {
    this.#machine = machine;
    this.#limits = limits;
    this.#lastMs = machine.monotonicMs() - limits.gcEveryMs + limits.gcFirstMs;
  }

  add(name: string, collect: () => Promise<GcReport>): void {
    assert(!this.#collectors.has(name), `gc "${name}" is registered once`);
    this.#collectors.set(name, collect);
  }

  /** Whether it is time again; a disk at its mark does not wait long. */
  due(full: boolean): boolean {
    const { gcEveryMs, gcFullEveryMs } = this.#limits;
    const passedMs = this.#machine.monotonicMs() - this.#lastMs;
    return passedMs >= (full ? gcFullEveryMs : gcEveryMs);
  }

  /** All of them; whoever asks while one pass is under way gets what that one reports. */
  run(): Promise<Collected[]> {
    this.#lastMs = this.#machine.monotonicMs();
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  // One after the other, for each may write much and the disk may be nearly full; the highest
  // domain first: what it lets go of is what those below it can free.
  async #run(): Promise<Collected[]> {
    const reports: Collected[] = [];
    for (const [name, collect] of [...this.#collectors].reverse()) {
      reports.push({ name, ...(await collect()) });
    }
    return reports;
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
