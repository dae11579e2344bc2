/**
 * net's tables. `net_route`: who has a host beyond `<app>.<domain>`. A host has one row at most,
 * whoever came first; `origin` says whether the owner added it or a manifest claimed it.
 * `net_cert`: certificates; `net_order`: each with its next key, on their way; `net_account`: who we
 * are at authorities; `net_acme`: what the owner has said of them. Keys and secrets are sealed.
 * `net_iface` has one row (id 1): how the machine gets its network, JSON; times Unix ms.
 */
import type { Migration } from "../storage/mod.ts";
import { clientSql } from "./client/mod.ts";
import { egressSql } from "./egress/mod.ts";
import { ruleSql } from "./rule/mod.ts";
import { trafficSql } from "./traffic/mod.ts";

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
      CREATE TABLE net_cert (
        name TEXT PRIMARY KEY,
        names TEXT NOT NULL,
        issuer TEXT NOT NULL CHECK (issuer IN ('self', 'acme')),
        chain TEXT NOT NULL,
        sealed_key BLOB NOT NULL,
        not_before INTEGER NOT NULL,
        not_after INTEGER NOT NULL,
        created_at INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE net_order (
        name TEXT PRIMARY KEY,
        names TEXT NOT NULL,
        state TEXT NOT NULL,
        sealed_key BLOB
      ) STRICT;
      CREATE TABLE net_account (
        directory TEXT PRIMARY KEY,
        sealed_key BLOB NOT NULL,
        url TEXT
      ) STRICT;
      CREATE TABLE net_acme (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        settings TEXT NOT NULL,
        sealed BLOB NOT NULL
      ) STRICT;
      CREATE TABLE net_iface (
        id INTEGER PRIMARY KEY,
        confirmed TEXT NOT NULL,
        trial TEXT,
        trial_until INTEGER
      ) STRICT;
      ${egressSql}
      ${ruleSql}
      ${clientSql}
      ${trafficSql}
    `,
  },
];
