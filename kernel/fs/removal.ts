/**
 * Removes a directory with everything in it, in steps that nobody waits for long.
 *
 * Rules
 * 1. The first step takes the directory out of the tree (its parent becomes `nowhere`, where no path
 *    leads): from then on all of it is gone for everybody. What fits into that step goes with it.
 * 2. A step removes a bounded number of entries and counts them in its transaction. Directories it
 *    meets are taken out in the same way, so that none has to look deeper than one level.
 * 3. What a cut leaves is found by its parent, and finished by gc.
 */
import type { GcReport, Storage, Tx } from "../storage/mod.ts";
import { limits } from "./limits.ts";

/** The parent of what was removed and is not erased yet; ids are positive, the root's is 0. */
const nowhere = -1;

/** Directories of one tree that are out of it and wait to be erased. */
export interface Removal {
  readonly root: string;
  readonly waiting: readonly number[];
  /** Files and directories erased so far. */
  readonly removed: number;
}

/** A removal that begins with this directory. */
export function removeDirectory(tx: Tx, root: string, id: number): Removal {
  takeOut(tx, id);
  return step(tx, { root, waiting: [id], removed: 0 });
}

/** Goes on with a removal to its end; the number of files and directories. */
export async function finishRemoval(storage: Storage, begun: Removal): Promise<number> {
  let removal = begun;
  while (removal.waiting.length > 0) {
    const before = removal;
    removal = await storage.write((tx) => step(tx, before), { essential: true });
  }
  return removal.removed;
}

/** Finishes what was cut: a pass of gc. */
export async function eraseRemoved(storage: Storage): Promise<GcReport> {
  const some = `SELECT id, root FROM fs_inode WHERE parent_id = ${nowhere} LIMIT 1`;
  let rows = 0;
  for (;;) {
    const left = storage.read.get<{ id: number; root: string }>(some);
    if (left === null) return { rows, bytes: 0 };
    rows += await finishRemoval(storage, { root: left.root, waiting: [left.id], removed: 0 });
  }
}

interface Row {
  readonly id: number;
  readonly kind: "file" | "dir";
  readonly size_bytes: number;
}

const entries =
  "SELECT id, kind, size_bytes FROM fs_inode WHERE root = ? AND parent_id = ? LIMIT ?";

function step(tx: Tx, { root, waiting, removed }: Removal): Removal {
  const stack = [...waiting];
  let [left, inodes, bytes]: [number, number, number] = [limits.gcRowsPerWrite, 0, 0];
  for (let id = stack.pop(); id !== undefined; id = left > 0 ? stack.pop() : undefined) {
    const found = tx.all<Row>(entries, root, id, left);
    // Fewer than there was room for: with these it is empty.
    if (found.length < left) inodes += erase(tx, id);
    else stack.push(id);
    for (const entry of found) {
      if (entry.kind === "dir") {
        takeOut(tx, entry.id);
        stack.push(entry.id);
      } else {
        inodes += erase(tx, entry.id);
        bytes += entry.size_bytes;
      }
    }
    left -= found.length + 1;
  }
  const counters = "used_bytes = used_bytes - ?, inodes = inodes - ? WHERE root = ?";
  tx.run(`UPDATE fs_tree SET ${counters}`, bytes, inodes, root);
  return { root, waiting: stack, removed: removed + inodes };
}

/** Its name makes way for others there. */
function takeOut(tx: Tx, id: number): void {
  tx.run(`UPDATE fs_inode SET parent_id = ${nowhere}, name = '#' || id WHERE id = ?`, id);
}

/** 1, or 0 when gc was faster. */
function erase(tx: Tx, id: number): number {
  return tx.run("DELETE FROM fs_inode WHERE id = ?", id);
}
