/**
 * The driver's tables. `driver_replica` has one row while there is a replica: where it is, with the
 * store's secret sealed by the machine key. `driver_drill` is the record of restores that were
 * tried out, newest kept.
 */
import type { Migration } from "../storage/mod.ts";

export const migrations: readonly Migration[] = [
  {
    version: 8,
    domain: "driver",
    sql: `
      CREATE TABLE driver_replica (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        target TEXT NOT NULL,
        secret BLOB,
        set_at INTEGER NOT NULL,
        user_id TEXT
      ) STRICT;
      CREATE TABLE driver_drill (
        at INTEGER PRIMARY KEY,
        ok INTEGER NOT NULL,
        took_ms INTEGER NOT NULL,
        detail TEXT NOT NULL
      ) STRICT;
    `,
  },
];
