/**
 * Collecting what nobody refers to: blobs without a manifest, inode or variant; variants without
 * their origin; uploads no process is writing any more.
 *
 * Rules: a whole blob goes only when its grace is over; each transaction removes a bounded number
 * of rows and decides again inside itself, so that a reference made meanwhile is never broken.
 */
import type { Machine } from "../machine.ts";
import type { GcReport, Storage, Tx } from "../storage/mod.ts";
import { limits } from "./limits.ts";
import { dropBlob } from "./receive.ts";

interface GarbageRow {
  readonly id: number;
  readonly size_bytes: number;
}

const unreferenced =
  "SELECT id, size_bytes FROM fs_blob b WHERE hash IS NOT NULL AND touched_at < ? " +
  "AND NOT EXISTS (SELECT 1 FROM fs_manifest_file f WHERE f.hash = b.hash) " +
  "AND NOT EXISTS (SELECT 1 FROM fs_inode i WHERE i.hash = b.hash) " +
  "AND NOT EXISTS (SELECT 1 FROM fs_variant v WHERE v.variant_hash = b.hash) LIMIT ?";

/** One pass over everything fs keeps. `live` are the uploads of this process. */
export async function collect(
  deps: { machine: Machine; storage: Storage },
  live: () => ReadonlySet<number>,
): Promise<GcReport> {
  const before = deps.machine.now() - limits.graceMs;
  const steps = [
    (tx: Tx) => dropAll(tx, staleUploads(tx, live())),
    (tx: Tx) => dropAll(tx, garbage(tx, before)),
    dropVariants,
    // Again: blobs that only a variant of a vanished origin held.
    (tx: Tx) => dropAll(tx, garbage(tx, before)),
  ];
  let rows = 0;
  let bytes = 0;
  for (const step of steps) {
    for (;;) {
      const freed = await deps.storage.write(step);
      rows += freed.rows;
      bytes += freed.bytes;
      if (freed.rows === 0) break;
    }
  }
  return { rows, bytes };
}

function garbage(tx: Tx, before: number): GarbageRow[] {
  return tx.all<GarbageRow>(unreferenced, before, limits.gcRowsPerWrite);
}

function staleUploads(tx: Tx, live: ReadonlySet<number>): GarbageRow[] {
  const sql = "SELECT id, size_bytes FROM fs_blob WHERE hash IS NULL LIMIT ?";
  return tx
    .all<GarbageRow>(sql, limits.gcRowsPerWrite + live.size)
    .filter((row) => !live.has(row.id))
    .slice(0, limits.gcRowsPerWrite);
}

function dropAll(tx: Tx, blobs: readonly GarbageRow[]): GcReport {
  let rows = 0;
  let bytes = 0;
  for (const blob of blobs) {
    if (bytes > limits.gcBytesPerWrite) break;
    dropBlob(tx, blob.id);
    rows += 1;
    bytes += blob.size_bytes;
  }
  return { rows, bytes };
}

function dropVariants(tx: Tx): GcReport {
  const sql =
    "DELETE FROM fs_variant WHERE (hash, encoding) IN (SELECT hash, encoding FROM fs_variant v " +
    "WHERE NOT EXISTS (SELECT 1 FROM fs_blob b WHERE b.hash = v.hash) LIMIT ?)";
  return { rows: tx.run(sql, limits.gcRowsPerWrite), bytes: 0 };
}
