/**
 * `net_access` has one row (id 1): what the access log says of clients, and whether it is written.
 */
export const trafficSql = `
      CREATE TABLE net_access (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        clients TEXT NOT NULL CHECK (clients IN ('off', 'hash', 'network', 'full')),
        log INTEGER NOT NULL
      ) STRICT;
`;
