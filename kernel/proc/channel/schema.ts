/**
 * channel's table: one row once the owner has chosen something. What was found is JSON, as it was
 * found; times are Unix ms.
 */
import type { Migration } from "../../storage/mod.ts";

const sql = `
  CREATE TABLE channel_setting (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    channel TEXT NOT NULL,
    source TEXT,
    checks INTEGER NOT NULL,
    automatic INTEGER NOT NULL,
    window TEXT NOT NULL,
    zone TEXT NOT NULL,
    next_at INTEGER,
    checked_at INTEGER,
    found TEXT,
    problem TEXT,
    begun_at INTEGER
  ) STRICT;
`;

export const migrations: readonly Migration[] = [{ version: 9, domain: "channel", sql }];
