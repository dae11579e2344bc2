/**
 * storage's own tables. Append-only: a released migration never changes.
 *
 * `storage_kv_floor` holds, for each app, the highest version of any key that is gone, so that a
 * key made again never repeats a version (a compare-and-set cannot mistake it for the old one).
 * `storage_doc_floor` is the same for documents. `storage_usage` counts what both keep for an app.
 *
 * `storage_doc_entry` holds, for each declared index, one row a document: the field's class and
 * sort key (`field.ts`). An index is used by queries once `ready` is 1; `built_to` is how far its
 * making has come. Declaring an index is data, so it never changes the schema.
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
      CREATE TABLE storage_usage (
        app_id TEXT NOT NULL PRIMARY KEY,
        bytes INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE storage_doc (
        app_id TEXT NOT NULL,
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        json TEXT NOT NULL,
        version INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        user_id TEXT,
        PRIMARY KEY (app_id, collection, id)
      ) STRICT;
      CREATE TABLE storage_doc_floor (
        app_id TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE storage_doc_index (
        index_id INTEGER PRIMARY KEY,
        app_id TEXT NOT NULL,
        user_id TEXT,
        collection TEXT NOT NULL,
        field TEXT NOT NULL,
        path TEXT NOT NULL,
        ready INTEGER NOT NULL DEFAULT 0,
        built_to TEXT NOT NULL DEFAULT '',
        UNIQUE (app_id, collection, field)
      ) STRICT;
      CREATE TABLE storage_doc_entry (
        index_id INTEGER NOT NULL,
        class INTEGER NOT NULL,
        value ANY NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (index_id, class, value, id)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE storage_limit (
        name TEXT NOT NULL PRIMARY KEY,
        value REAL NOT NULL,
        updated_at INTEGER NOT NULL
      ) STRICT;
    `,
  },
];
