/**
 * The table of clients, made with net's: `net_client`, what the owner has said of networks. A
 * network has one verdict; `until` (Unix ms) ends it, null never.
 */
export const clientSql = `
      CREATE TABLE net_client (
        network TEXT PRIMARY KEY,
        verdict TEXT NOT NULL CHECK (verdict IN ('deny', 'allow', 'proxy')),
        note TEXT NOT NULL,
        until INTEGER,
        created_at INTEGER NOT NULL
      ) STRICT;
`;
