/**
 * The tables of fs. They only grow.
 *
 * Invariants
 * 1. A blob with a hash is whole: its chunks 0 … n are there and hash to it. A blob without one
 *    is an upload under way (staging) and is seen by nobody.
 * 2. Chunk `i` of blob `b` has id `b * 65536 + i`: one key, no second index, read in order.
 *    Blob ids are never used again (AUTOINCREMENT), so an open reader never meets other bytes.
 * 3. What refers to a blob: inodes, manifest files, and variants (whose origin is a blob).
 * 4. An inode whose parent is -1 was removed with its directory and waits to be erased (`removal.ts`).
 * 5. A manifest of `fs_mount` (its app id) belongs to the mount of its id: a cartridge's files.
 * 6. Bytes are in ordinary rowid tables (WITHOUT ROWID halves the speed of reading them).
 */
import type { Migration } from "../storage/mod.ts";

const sql = `
CREATE TABLE fs_blob (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  hash TEXT UNIQUE,
  size_bytes INTEGER NOT NULL,
  touched_at INTEGER NOT NULL
) STRICT;

CREATE TABLE fs_chunk (
  id INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE fs_variant (
  hash TEXT NOT NULL,
  encoding TEXT NOT NULL,
  variant_hash TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (hash, encoding)
) STRICT, WITHOUT ROWID;
CREATE INDEX fs_variant_of ON fs_variant (variant_hash);

CREATE TABLE fs_manifest (
  id TEXT PRIMARY KEY,
  app_id TEXT NOT NULL,
  user_id TEXT,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE fs_manifest_file (
  manifest_id TEXT NOT NULL,
  path TEXT NOT NULL,
  hash TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  PRIMARY KEY (manifest_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX fs_manifest_file_hash ON fs_manifest_file (hash);

CREATE TABLE fs_tree (
  root TEXT PRIMARY KEY,
  app_id TEXT,
  user_id TEXT,
  used_bytes INTEGER NOT NULL,
  inodes INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE fs_inode (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  root TEXT NOT NULL,
  parent_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('file', 'dir')),
  hash TEXT,
  size_bytes INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL,
  app_id TEXT,
  user_id TEXT
) STRICT;
CREATE UNIQUE INDEX fs_inode_name ON fs_inode (root, parent_id, name);
CREATE INDEX fs_inode_hash ON fs_inode (hash);
CREATE INDEX fs_inode_removed ON fs_inode (id) WHERE parent_id = -1;

CREATE TABLE fs_mount (
  id TEXT PRIMARY KEY,
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  source TEXT NOT NULL,
  writable INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX fs_mount_path ON fs_mount (path);
`;

export const migrations: readonly Migration[] = [{ version: 3, domain: "fs", sql }];
