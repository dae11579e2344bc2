/**
 * A writable tree: directories and files as inodes, file content as blobs.
 *
 * Rules
 * 1. A file is replaced whole, in the same transaction that makes its bytes visible.
 * 2. Every change checks names again inside its transaction: what was true before a body was
 *    received may not be true after.
 * 3. `fs_tree` counts bytes and inodes; they change in the transaction that changes the inodes,
 *    and neither goes over its limit (EDQUOT).
 * 4. The root is not an inode: it is always there, has parent id 0 for its entries, and cannot be
 *    removed or moved. Renaming follows rename(2).
 */
import type { Bytes } from "../call.ts";
import type { Caller } from "../caller.ts";
import type { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Reader, Storage, Tx } from "../storage/mod.ts";
import type { BlobStore } from "./blob.ts";
import { tooBig } from "./body.ts";
import type { Filesystem, Hash, Page, Stat } from "./fs.ts";
import { contentTypeOf } from "./http.ts";
import { limits } from "./limits.ts";
import {
  basename,
  below,
  components,
  isDirectory,
  join,
  noEntry,
  notDirectory,
  PathError,
  parent,
} from "./path.ts";
import { finishRemoval, type Removal, removeDirectory } from "./removal.ts";

interface Inode {
  readonly id: number;
  readonly parent_id: number;
  readonly name: string;
  readonly kind: "file" | "dir";
  readonly hash: Hash | null;
  readonly size_bytes: number;
  readonly mode: number;
  readonly modified_at: number;
}

/** Where a tree is kept and whose it is. */
export interface TreeOptions {
  readonly root: string;
  readonly appId: string | null;
  readonly quotaBytes: number;
}

interface Deps {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly blobs: BlobStore;
}

const columns = "id, parent_id, name, kind, hash, size_bytes, mode, modified_at";

const rootInode: Inode = {
  id: 0,
  parent_id: 0,
  name: "",
  kind: "dir",
  hash: null,
  size_bytes: 0,
  mode: 0o755,
  modified_at: 0,
};

/**
 * Removes a tree and its counters, in pieces that nobody waits for long; the number of inodes. Its
 * blobs are left to gc.
 */
export async function dropTree({ write }: Pick<Storage, "write">, root: string): Promise<number> {
  const bound: number = limits.gcRowsPerWrite;
  const some = "DELETE FROM fs_inode WHERE id IN (SELECT id FROM fs_inode WHERE root = ? LIMIT ?)";
  let gone = 0;
  for (let count = bound; count === bound; gone += count) {
    count = await write(
      (tx) => {
        tx.run("DELETE FROM fs_tree WHERE root = ?", root);
        return tx.run(some, root, bound);
      },
      { essential: true },
    );
  }
  return gone;
}

/** Removes the files a user wrote last, in every tree; the number of files. */
export function eraseFiles(tx: Tx, userId: string): number {
  const mine = "kind = 'file' AND user_id = ?";
  const sums = tx.all<{ root: string; bytes: number; inodes: number }>(
    `SELECT root, sum(size_bytes) AS bytes, count(*) AS inodes FROM fs_inode WHERE ${mine} GROUP BY root`,
    userId,
  );
  for (const { root, bytes, inodes } of sums) {
    const sql = "used_bytes = used_bytes - ?, inodes = inodes - ? WHERE root = ?";
    tx.run(`UPDATE fs_tree SET ${sql}`, bytes, inodes, root);
  }
  return tx.run(`DELETE FROM fs_inode WHERE ${mine}`, userId);
}

/** The inodes of one root as a file system. */
export class InodeTree implements Filesystem {
  readonly readOnly = false;
  readonly #machine: Machine;
  readonly #storage: Storage;
  readonly #blobs: BlobStore;
  readonly #options: TreeOptions;

  constructor(deps: Deps, options: TreeOptions) {
    this.#machine = deps.machine;
    this.#storage = deps.storage;
    this.#blobs = deps.blobs;
    this.#options = options;
  }

  stat(path: string): Stat | null {
    const inode = this.#find(this.#storage.read, path);
    return inode === null ? null : statOf(path, inode);
  }

  ls(path: string, { after, limit }: Page): Stat[] | null {
    const inode = this.#find(this.#storage.read, path);
    if (inode === null || inode.kind === "file") return null;
    const where = "root = ? AND parent_id = ? AND name > ?";
    const sql = `SELECT ${columns} FROM fs_inode WHERE ${where} ORDER BY name LIMIT ?`;
    return this.#storage.read
      .all<Inode>(sql, this.#options.root, inode.id, after, limit)
      .map((entry) => statOf(join(path, `/${entry.name}`), entry));
  }

  read(path: string, range: { offset: number; length: number | null }): Bytes {
    const inode = this.#find(this.#storage.read, path);
    if (inode === null) throw noEntry("read", path);
    if (inode.hash === null) throw isDirectory("read", path);
    const about = { contentType: contentTypeOf(path), sizeBytes: inode.size_bytes };
    return this.#blobs.open(inode.hash, range, about);
  }

  async write(path: string, body: ReadableStream<Uint8Array>, from: Caller): Promise<Stat> {
    const received = await this.#receive(path, body);
    try {
      return await this.#storage.write((tx) => {
        const stat = this.#place(tx, path, { ...received, userId: from.userId });
        received.commit(tx);
        return stat;
      });
    } finally {
      await received.release();
    }
  }

  mkdir(path: string, options: { parents: boolean }, from: Caller): Promise<Stat> {
    return this.#storage.write((tx) => {
      const there = this.#find(tx, path);
      if (there !== null) {
        if (options.parents && there.kind === "dir") return statOf(path, there);
        throw new PathError("EEXIST", { action: "make directory", path, state: "already there" });
      }
      if (options.parents) this.#makeParents(tx, path, from);
      return this.#makeDirectory(tx, path, from);
    });
  }

  mv(from: string, to: string): Promise<Stat> {
    return this.#storage.write((tx) => {
      const moved = this.#movable(tx, from, to);
      const into = this.#parentOf(tx, to, "move to");
      const there = this.#find(tx, to);
      if (there !== null && there.id !== moved.id) this.#replace(tx, to, { moved, there });
      const now = this.#machine.now();
      const sql = "UPDATE fs_inode SET parent_id = ?, name = ? WHERE id = ?";
      tx.run(sql, into.id, basename(to), moved.id);
      touch(tx, moved.parent_id, now);
      touch(tx, into.id, now);
      return statOf(to, moved);
    });
  }

  async rm(path: string, options: { recursive: boolean }): Promise<{ removed: number }> {
    const { root } = this.#options;
    const work = (tx: Tx): Removal => {
      const inode = this.#find(tx, path);
      if (inode === null) throw noEntry("remove", path);
      if (inode.id === 0) throw busy("remove", path);
      if (!options.recursive && this.#hasEntries(tx, inode)) throw notEmpty("remove", path);
      touch(tx, inode.parent_id, this.#machine.now());
      if (inode.kind === "dir") return removeDirectory(tx, root, inode.id);
      this.#removeOne(tx, inode);
      return { root, waiting: [], removed: 1 };
    };
    const begun = await this.#storage.write(work, { essential: true });
    return { removed: await finishRemoval(this.#storage, begun) };
  }

  /** Takes the body in, within what is left of the quota. */
  #receive(path: string, body: ReadableStream<Uint8Array>): ReturnType<Receive> {
    const { read } = this.#storage;
    this.#parentOf(read, path, "write");
    const there = this.#find(read, path);
    if (there?.kind === "dir") throw isDirectory("write", path);
    const left = this.#options.quotaBytes - this.#usage(read).usedBytes + (there?.size_bytes ?? 0);
    const bytesMax = Math.max(0, Math.min(limits.fileBytesMax, left));
    const over = (): SysError =>
      left < limits.fileBytesMax ? this.#overQuota("write", path) : tooBig(limits.fileBytesMax);
    return this.#blobs.receiver.body({ hash: null, bytesMax, over }, body);
  }

  /** Gives a name its bytes: a new inode, or other content for the one that is there. */
  #place(
    tx: Tx,
    path: string,
    file: { hash: Hash; sizeBytes: number; userId: string | null },
  ): Stat {
    const into = this.#parentOf(tx, path, "write");
    const there = this.#find(tx, path);
    if (there?.kind === "dir") throw isDirectory("write", path);
    const now = this.#machine.now();
    const grown = { bytes: file.sizeBytes - (there?.size_bytes ?? 0), inodes: there ? 0 : 1 };
    this.#count(tx, grown, { action: "write", path });
    if (there === null) {
      const mode = 0o644;
      this.#insert(tx, into, { ...file, kind: "file", name: basename(path), mode });
      return fileStat(path, { ...file, mode, now });
    }
    // Content is whoever's who wrote it last, as it is with pairs and documents.
    const sql =
      "UPDATE fs_inode SET hash = ?, size_bytes = ?, modified_at = ?, user_id = ? WHERE id = ?";
    tx.run(sql, file.hash, file.sizeBytes, now, file.userId, there.id);
    return fileStat(path, { ...file, mode: there.mode, now });
  }

  #makeParents(tx: Tx, path: string, from: Caller): void {
    const names = components(parent(path));
    let at = "/";
    for (const name of names) {
      at = join(at, `/${name}`);
      const there = this.#find(tx, at);
      if (there?.kind === "file") throw notDirectory("make directory", at);
      if (there === null) this.#makeDirectory(tx, at, from);
    }
  }

  #makeDirectory(tx: Tx, path: string, from: Caller): Stat {
    const into = this.#parentOf(tx, path, "make directory");
    this.#count(tx, { bytes: 0, inodes: 1 }, { action: "make directory", path });
    const entry = { kind: "dir", name: basename(path), mode: 0o755, hash: null } as const;
    this.#insert(tx, into, { ...entry, sizeBytes: 0, userId: from.userId });
    const made = this.#find(tx, path);
    if (made === null) throw noEntry("make directory", path);
    return statOf(path, made);
  }

  #insert(
    tx: Tx,
    into: Inode,
    entry: {
      kind: "file" | "dir";
      name: string;
      hash: Hash | null;
      sizeBytes: number;
      mode: number;
      userId: string | null;
    },
  ): void {
    const now = this.#machine.now();
    tx.run(
      "INSERT INTO fs_inode (root, parent_id, name, kind, hash, size_bytes, mode, created_at, " +
        "modified_at, app_id, user_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      this.#options.root,
      into.id,
      entry.name,
      entry.kind,
      entry.hash,
      entry.sizeBytes,
      entry.mode,
      now,
      now,
      this.#options.appId,
      entry.userId,
    );
    touch(tx, into.id, now);
  }

  #movable(tx: Tx, from: string, to: string): Inode {
    const moved = this.#find(tx, from);
    if (moved === null) throw noEntry("move", from);
    if (moved.id === 0) throw busy("move", from);
    if (moved.kind === "dir" && from !== to && below(from, to) !== null) {
      throw new PathError("EINVAL", { action: "move", path: from, state: "into itself" });
    }
    return moved;
  }

  /** Makes way for a rename (rename(2): file over file, directory over empty directory). */
  #replace(tx: Tx, to: string, over: { moved: Inode; there: Inode }): void {
    const { moved, there } = over;
    if (there.kind === "dir" && moved.kind === "file") throw isDirectory("move to", to);
    if (there.kind === "file" && moved.kind === "dir") throw notDirectory("move to", to);
    if (there.id === 0) throw busy("move to", to);
    if (this.#hasEntries(tx, there)) throw notEmpty("move to", to);
    this.#removeOne(tx, there);
  }

  /** A file, or a directory without entries. */
  #removeOne(tx: Tx, inode: Inode): void {
    tx.run("DELETE FROM fs_inode WHERE id = ?", inode.id);
    const counters = "used_bytes = used_bytes - ?, inodes = inodes - 1 WHERE root = ?";
    tx.run(`UPDATE fs_tree SET ${counters}`, inode.size_bytes, this.#options.root);
  }

  /** Adds to the tree's counters. EDQUOT. */
  #count(
    tx: Tx,
    grown: { bytes: number; inodes: number },
    refused: { action: string; path: string },
  ): void {
    const { root, appId, quotaBytes } = this.#options;
    const used = this.#usage(tx);
    if (grown.bytes > 0 && used.usedBytes + grown.bytes > quotaBytes) {
      throw this.#overQuota(refused.action, refused.path);
    }
    if (grown.inodes > 0 && used.inodes + grown.inodes > limits.treeInodesMax) {
      const state = `the tree has ${limits.treeInodesMax} files already`;
      throw new PathError("EDQUOT", { ...refused, state }, { hint: "remove files first" });
    }
    tx.run(
      "INSERT INTO fs_tree (root, app_id, used_bytes, inodes, created_at) VALUES (?, ?, ?, ?, ?) " +
        "ON CONFLICT (root) DO UPDATE SET used_bytes = used_bytes + excluded.used_bytes, " +
        "inodes = inodes + excluded.inodes",
      root,
      appId,
      grown.bytes,
      grown.inodes,
      this.#machine.now(),
    );
  }

  #usage(reader: Reader): { usedBytes: number; inodes: number } {
    const row = reader.get<{ usedBytes: number; inodes: number }>(
      "SELECT used_bytes AS usedBytes, inodes FROM fs_tree WHERE root = ?",
      this.#options.root,
    );
    return row ?? { usedBytes: 0, inodes: 0 };
  }

  #overQuota(action: string, path: string): SysError {
    const state = `over the quota of ${this.#options.quotaBytes} bytes`;
    return new PathError("EDQUOT", { action, path, state }, { hint: "remove files first" });
  }

  #find(reader: Reader, path: string): Inode | null {
    let inode = rootInode;
    for (const name of components(path)) {
      if (inode.kind === "file") return null;
      const sql = `SELECT ${columns} FROM fs_inode WHERE root = ? AND parent_id = ? AND name = ?`;
      const next = reader.get<Inode>(sql, this.#options.root, inode.id, name);
      if (next === null) return null;
      inode = next;
    }
    return inode;
  }

  #parentOf(reader: Reader, path: string, action: string): Inode {
    if (path === "/") throw isDirectory(action, path);
    const directory = parent(path);
    const inode = this.#find(reader, directory);
    if (inode === null) {
      const state = "its directory is not there";
      const hint = "make the directory first, with `parents` for all of them";
      throw new PathError("ENOENT", { action, path, state }, { hint });
    }
    if (inode.kind === "file") throw notDirectory(action, directory);
    return inode;
  }

  #hasEntries(reader: Reader, inode: Inode): boolean {
    const sql = "SELECT id FROM fs_inode WHERE root = ? AND parent_id = ? LIMIT 1";
    return inode.kind === "dir" && reader.get(sql, this.#options.root, inode.id) !== null;
  }
}

type Receive = BlobStore["receiver"]["body"];

function touch(tx: Tx, id: number, now: number): void {
  if (id !== 0) tx.run("UPDATE fs_inode SET modified_at = ? WHERE id = ?", now, id);
}

function busy(action: string, path: string): PathError {
  return new PathError("EBUSY", { action, path, state: "is the root of a tree" });
}

function notEmpty(action: string, path: string): PathError {
  return new PathError(
    "ENOTEMPTY",
    { action, path, state: "directory is not empty" },
    { hint: "remove it with `recursive`" },
  );
}

function statOf(path: string, inode: Inode): Stat {
  return {
    path,
    kind: inode.kind,
    sizeBytes: inode.size_bytes,
    modifiedAt: inode.modified_at,
    hash: inode.hash,
    mode: inode.mode,
  };
}

function fileStat(
  path: string,
  file: { hash: Hash; sizeBytes: number; mode: number; now: number },
): Stat {
  const { hash, sizeBytes, mode, now } = file;
  return { path, kind: "file", sizeBytes, modifiedAt: now, hash, mode };
}
