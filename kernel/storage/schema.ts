/**
 * storage's own tables. Append-only: a released migration never changes.
 *
 * `storage_kv_floor` holds, for each app, the highest version of any key that is gone, so that a
 * key made again never repeats a version (a compare-and-set cannot mistake it for the old one).
 */
import type { Migration } from "./migrate.ts";

export const migrations: readonly Migration[] = [
  {
    version: 1,
    domain: "storage",
    sql: `
      CREATE TABLE storage_kv (
        app_id TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        version INTEGER NOT NULL,
        expires_at INTEGER,
        updated_at INTEGER NOT NULL,
        user_id TEXT,
        PRIMARY KEY (app_id, key)
      ) STRICT;
      CREATE INDEX storage_kv_by_expiry ON storage_kv (expires_at) WHERE expires_at IS NOT NULL;
      CREATE TABLE storage_kv_floor (
        app_id TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL
      ) STRICT;
    `,
  },
];
