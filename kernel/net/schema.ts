/**
 * net's tables. `net_route`: who has a host beyond `<app>.<domain>`. A host has one row at most,
 * whoever came first; `origin` says whether the owner added it or a manifest claimed it.
 */
import type { Migration } from "../storage/mod.ts";

export const migrations: readonly Migration[] = [
  {
    version: 5,
    domain: "net",
    sql: `
      CREATE TABLE net_route (
        host TEXT PRIMARY KEY,
        app_id TEXT NOT NULL,
        user_id TEXT,
        origin TEXT NOT NULL CHECK (origin IN ('added', 'manifest')),
        created_at INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX net_route_by_app ON net_route (app_id);
    `,
  },
];
