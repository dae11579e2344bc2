/**
 * Grafts one tree onto another in one transaction: files take the place of files of the same path,
 * directories are joined, everything else stays. The tree that is grafted is empty afterwards.
 *
 * Rules: a file never takes the place of a directory, nor the other way round (EEXIST); the counters
 * of both trees are right at the end, and over the quota nothing happens (EDQUOT).
 */
import type { Tx } from "../storage/mod.ts";
import { limits } from "./limits.ts";
import { join, PathError } from "./path.ts";

export interface Graft {
  /** Root of the tree whose inodes move. */
  readonly from: string;
  readonly to: string;
  /** Whose the inodes become. */
  readonly appId: string;
  readonly quotaBytes: number;
  /** Unix ms. */
  readonly at: number;
}

interface Entry {
  readonly id: number;
  readonly name: string;
  readonly kind: "file" | "dir";
}

const entriesOf = "SELECT id, name, kind FROM fs_inode WHERE root = ? AND parent_id = ?";

/** Does it; answers the inodes that moved. */
export function graft(tx: Tx, how: Graft): number {
  const { from, to, appId, at } = how;
  const moved = graftInto(tx, how, { fromId: 0, toId: 0, path: "/" });
  tx.run("DELETE FROM fs_inode WHERE root = ?", from);
  tx.run("DELETE FROM fs_tree WHERE root = ?", from);
  const used = tx.get<{ bytes: number; inodes: number }>(
    "SELECT coalesce(sum(size_bytes), 0) AS bytes, count(*) AS inodes FROM fs_inode WHERE root = ?",
    to,
  ) ?? { bytes: 0, inodes: 0 };
  if (used.bytes > how.quotaBytes || used.inodes > limits.treeInodesMax) {
    const state = `together over ${how.quotaBytes} bytes or ${limits.treeInodesMax} files`;
    throw new PathError(
      "EDQUOT",
      { action: "join files", path: "/", state },
      { hint: "remove files first" },
    );
  }
  tx.run(
    "INSERT INTO fs_tree (root, app_id, used_bytes, inodes, created_at) VALUES (?, ?, ?, ?, ?) " +
      "ON CONFLICT (root) DO UPDATE SET used_bytes = excluded.used_bytes, inodes = excluded.inodes",
    ...[to, appId, used.bytes, used.inodes, at],
  );
  return moved;
}

interface Place {
  readonly fromId: number;
  readonly toId: number;
  readonly path: string;
}

function graftInto(tx: Tx, how: Graft, { fromId, toId, path }: Place): number {
  const { from, to, appId } = how;
  const own = new Map(tx.all<Entry>(entriesOf, to, toId).map((entry) => [entry.name, entry]));
  let moved = 0;
  for (const entry of tx.all<Entry>(entriesOf, from, fromId)) {
    const there = own.get(entry.name);
    const at = join(path, `/${entry.name}`);
    if (there !== undefined && there.kind !== entry.kind) {
      const state = there.kind === "dir" ? "a directory is there" : "a file is there";
      const hint = "rename it, or import with overwrite";
      throw new PathError("EEXIST", { action: "put file", path: at, state }, { hint });
    }
    if (there !== undefined && entry.kind === "dir") {
      moved += graftInto(tx, how, { fromId: entry.id, toId: there.id, path: at });
      continue;
    }
    if (there !== undefined) tx.run("DELETE FROM fs_inode WHERE id = ?", there.id);
    const move = "UPDATE fs_inode SET root = ?, parent_id = ?, app_id = ? WHERE id = ?";
    tx.run(move, to, toId, appId, entry.id);
    moved += 1;
    // Ids stay, so that what is below a directory needs only its new root.
    if (entry.kind === "dir") {
      const place = { fromId: entry.id, toId: entry.id, path: at };
      moved += graftInto(tx, how, place);
    }
  }
  return moved;
}
