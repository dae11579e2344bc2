/**
 * The tables of rules, made with net's: `net_redirect`, hosts that lead elsewhere; `net_rest`, apps
 * that answer with a page of the kernel's; `net_primary`, the name of an app that its others lead to.
 */
export const ruleSql = `
      CREATE TABLE net_redirect (
        host TEXT PRIMARY KEY,
        target TEXT NOT NULL,
        permanent INTEGER NOT NULL,
        created_at INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE net_rest (
        app_id TEXT PRIMARY KEY,
        retry_after_s INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE net_primary (
        app_id TEXT PRIMARY KEY,
        host TEXT NOT NULL
      ) STRICT;
`;
