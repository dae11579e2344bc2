/**
 * egress's tables. `net_egress`: the owner's word about a host and an app. `net_egress_secret`: a
 * sealed value that the kernel puts into headers towards one host.
 */

export const egressSql = `
  CREATE TABLE net_egress (
    app_id TEXT NOT NULL,
    user_id TEXT,
    host TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    near INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, host)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE net_egress_secret (
    app_id TEXT NOT NULL,
    user_id TEXT,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    sealed BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, name)
  ) STRICT, WITHOUT ROWID;
`;
