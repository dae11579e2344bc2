/**
 * Whether the tables of fs agree with each other: what is referred to is stored, what is stored is
 * whole, and the counters count. Blobs nobody refers to are no fault: gc takes them.
 */
import { limits } from "./limits.ts";

interface Look {
  readonly say: string;
  /** A query whose rows are faults, each with a `what`. */
  readonly sql: string;
}

const noBlob = "NOT EXISTS (SELECT 1 FROM fs_blob b WHERE b.hash = r.hash)";

const looks: readonly Look[] = [
  {
    say: "a file's content is not stored",
    sql: `SELECT r.root || '/' || r.name AS what FROM fs_inode r
      WHERE r.hash IS NOT NULL AND ${noBlob}`,
  },
  {
    say: "the content of a release's file is not stored",
    sql: `SELECT r.manifest_id || '/' || r.path AS what FROM fs_manifest_file r WHERE ${noBlob}`,
  },
  {
    say: "a release's files have no release",
    sql: `SELECT DISTINCT r.manifest_id AS what FROM fs_manifest_file r
      WHERE NOT EXISTS (SELECT 1 FROM fs_manifest m WHERE m.id = r.manifest_id)`,
  },
  {
    say: "a file's directory is not there",
    sql: `SELECT r.root || '/…/' || r.name AS what FROM fs_inode r WHERE r.parent_id > 0
      AND NOT EXISTS (SELECT 1 FROM fs_inode p
        WHERE p.id = r.parent_id AND p.root = r.root AND p.kind = 'dir')`,
  },
  {
    say: "stored content lacks a part",
    sql: `SELECT b.hash AS what FROM fs_blob b WHERE b.hash IS NOT NULL AND b.size_bytes <> (
      SELECT coalesce(sum(length(c.bytes)), 0) FROM fs_chunk c
      WHERE c.id >= b.id * 65536 AND c.id < (b.id + 1) * 65536)`,
  },
  {
    say: "a part belongs to no content",
    sql: `SELECT c.id AS what FROM fs_chunk c
      WHERE NOT EXISTS (SELECT 1 FROM fs_blob b WHERE b.id = c.id / 65536)`,
  },
  {
    say: "a tree's counters are wrong",
    sql: `SELECT t.root AS what FROM fs_tree t WHERE (t.used_bytes, t.inodes) <> (
      SELECT coalesce(sum(i.size_bytes), 0), count(*) FROM fs_inode i WHERE i.root = t.root)`,
  },
];

/** The looks, each naming at most `checkFaultsMax` faults. */
export const fileLooks: readonly Look[] = looks.map(({ say, sql }) => ({
  say,
  sql: `${sql} LIMIT ${limits.checkFaultsMax}`,
}));
