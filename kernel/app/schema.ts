/**
 * The tables of app. They only grow.
 *
 * Invariants
 * 1. Among apps that are not removed a name is unique; `app_id` is for ever.
 * 2. A release with `switched_at` has been current once and can be rolled back to. One without is
 *    staged or condemned: seen by nobody but its deploy, and erased by gc.
 * 3. `purge_at` is set exactly when `removed_at` is; from then on gc may erase the app.
 * 4. An environment row holds either `value` or `sealed`, never both.
 */
import type { Migration } from "../storage/mod.ts";

const sql = `
CREATE TABLE app_app (
  app_id TEXT PRIMARY KEY,
  user_id TEXT,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  release_id TEXT,
  stopped INTEGER NOT NULL DEFAULT 0,
  removed_at INTEGER,
  purge_at INTEGER
) STRICT;
CREATE UNIQUE INDEX app_app_name ON app_app (name) WHERE removed_at IS NULL;

CREATE TABLE app_release (
  id TEXT PRIMARY KEY,
  app_id TEXT NOT NULL,
  user_id TEXT,
  number INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  switched_at INTEGER,
  message TEXT NOT NULL,
  file_count INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  egress_agreed INTEGER NOT NULL DEFAULT 0,
  manifest TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX app_release_number ON app_release (app_id, number);

CREATE TABLE app_env (
  app_id TEXT NOT NULL,
  user_id TEXT,
  name TEXT NOT NULL,
  value TEXT,
  sealed BLOB,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
`;

export const migrations: readonly Migration[] = [{ version: 4, domain: "app", sql }];
