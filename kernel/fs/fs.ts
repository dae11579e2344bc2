/**
 * The fs domain's interface: one tree of mounts, content-addressed blobs, release manifests, and
 * sites that answer HTTP from a manifest.
 *
 * Rules: paths are absolute and already normalised (`path.ts`); a caller sees the tree through a
 * view, so that an app's `/app` and `/data` are its own; nothing holds more than one chunk of a
 * file in memory, whatever the file's size.
 */
import type { Bytes } from "../call.ts";
import type { Caller } from "../caller.ts";
import type { Machine } from "../machine.ts";
import type { Storage, Tx } from "../storage/mod.ts";
import { BlobStore, collect } from "./blob.ts";
import { fileLooks } from "./check.ts";
import { createFstab, type Fstab } from "./fstab.ts";
import { type Graft, graft } from "./graft.ts";
import { dropTree, eraseFiles, InodeTree } from "./inode.ts";
import { limits } from "./limits.ts";
import { createManifests } from "./manifest.ts";
import { createLru } from "./page.ts";
import { eraseRemoved } from "./removal.ts";
import { ManifestSite, type Site, type SiteContext, type SiteRules } from "./site.ts";
import { Tree } from "./tree.ts";
import { VariantStore } from "./variant.ts";

/** Lower-case hex SHA-256 of a file's bytes. */
export type Hash = string;

export interface Stat {
  readonly path: string;
  readonly kind: "file" | "dir";
  readonly sizeBytes: number;
  readonly modifiedAt: number;
  /** Null for directories and pseudo files. */
  readonly hash: Hash | null;
  /** Unix permission bits. */
  readonly mode: number;
}

/** A part of a directory's entries. */
export interface Page {
  /** Only names after this one, by code point; "" is the beginning. */
  readonly after: string;
  /** Entries at most. */
  readonly limit: number;
}

/** What is attached to the tree. Paths are relative to the mount: `/` is its root. */
export interface Filesystem {
  readonly readOnly: boolean;
  stat(path: string): Promise<Stat | null> | Stat | null;
  /** Entries of a directory, sorted by name, fewer than `limit` at its end; null: it is none. */
  ls(path: string, page: Page): Promise<Stat[] | null> | Stat[] | null;
  /** Bytes `offset` to `offset + length` (to the end when null). ENOENT, EISDIR. */
  read(path: string, range: { offset: number; length: number | null }): Promise<Bytes> | Bytes;
  /** Replaces the file whole, atomically; parents must exist. EROFS, ENOTDIR, EISDIR, EDQUOT. */
  write(path: string, body: ReadableStream<Uint8Array>, from: Caller): Promise<Stat>;
  mkdir(path: string, options: { parents: boolean }, from: Caller): Promise<Stat>;
  mv(from: string, to: string): Promise<Stat>;
  rm(path: string, options: { recursive: boolean }): Promise<{ removed: number }>;
}

/** One file of a release. */
export interface ManifestFile {
  /** Relative, `/`-separated, no leading slash: `public/index.html`. */
  readonly path: string;
  readonly hash: Hash;
  readonly sizeBytes: number;
  readonly mode: number;
}

export interface Blobs {
  /** Those of `hashes` that are not stored yet, in their order. */
  missing(hashes: readonly Hash[]): Hash[];
  /**
   * Stores a body under the hash it must have; nothing is visible until all of it is there.
   * EBADMSG (other bytes), EFBIG, ENOSPC. Storing what is stored is OK.
   */
  put(
    expected: { hash: Hash | null },
    body: ReadableStream<Uint8Array>,
  ): Promise<{ hash: Hash; sizeBytes: number; stored: boolean }>;
  /**
   * Stores many blobs from one framed body (`batch.ts`): 32 bytes hash, 4 bytes length (big
   * endian), the bytes, and again. EBADMSG, EFBIG, EINVAL, ENOSPC.
   */
  putMany(
    body: ReadableStream<Uint8Array>,
  ): Promise<{ stored: number; known: number; sizeBytes: number }>;
  /** The bytes of a stored blob, chunk by chunk. ENOENT. */
  open(hash: Hash, range?: { offset: number; length: number | null }): Bytes;
  /** A small blob whole: at most 5 MB. ENOENT, EFBIG. */
  bytes(hash: Hash): Uint8Array<ArrayBuffer>;
}

/** Manifests: the files of a release, immutable once put. */
export interface Manifests {
  /** Throws ENOENT naming the first blob that is missing, EINVAL for a path that leaves the tree. */
  put(id: string, appId: string, files: readonly ManifestFile[]): Promise<void>;
  list(id: string, prefix?: string): ManifestFile[];
  get(id: string, path: string): ManifestFile | null;
  /** Removes manifests nobody uses any more, in steps: while it goes on they lack files. */
  drop(ids: readonly string[]): Promise<void>;
  /** The manifest as a read-only file system. `modifiedAt` is the release's time. */
  filesystem(id: string, modifiedAt: number): Filesystem;
}

/** A directory of the caller's tree, named by the mount that owns it. */
export type Resolver = (name: string) => Filesystem | null;

export interface Fs {
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  /** A writable tree of inodes; `root` is its stable id (`home`, or an app's id). */
  tree(root: string, owner: { appId: string | null }, quotaBytes: number): Filesystem;
  /** Removes a tree and everything in it. */
  dropTree(root: string): Promise<number>;
  /** Joins a tree into another one, within a transaction. EEXIST (file and directory), EDQUOT. */
  graft(tx: Tx, how: Graft): number;
  /** Attaches a file system at an absolute path. EBUSY when something is mounted there. */
  mount(path: string, filesystem: Filesystem): void;
  /** Attaches a directory whose entries come from `list`, each a file system of its own. */
  mountEach(path: string, list: () => string[], resolve: Resolver): void;
  /** What the owner attached below `/mnt`. */
  readonly fstab: Fstab;
  /** What an app sees in place of `/app` and `/data`; set once, by the app domain. */
  setAppView(view: (caller: Caller) => { app: Filesystem; data: Filesystem } | null): void;

  stat(caller: Caller, path: string): Promise<Stat>;
  /** A page of a directory, from the beginning and as long as may be unless it says so. */
  ls(caller: Caller, path: string, page?: Partial<Page>): Promise<Stat[]>;
  read(
    caller: Caller,
    path: string,
    range: { offset: number; length: number | null },
  ): Promise<Bytes>;
  write(caller: Caller, path: string, body: ReadableStream<Uint8Array>): Promise<Stat>;
  mkdir(caller: Caller, path: string, options: { parents: boolean }): Promise<Stat>;
  mv(caller: Caller, from: string, to: string): Promise<Stat>;
  cp(caller: Caller, from: string, to: string): Promise<Stat>;
  rm(caller: Caller, path: string, options: { recursive: boolean }): Promise<{ removed: number }>;
  /** Depth first, every file and directory below `path`. */
  walk(caller: Caller, path: string, signal: AbortSignal): AsyncIterable<Stat>;

  /** A site: static serving of one manifest by rules. Compiled once a release. */
  site(manifestId: string, rules: SiteRules): Site;
  /** Cache use, for `/sys/limits` and status. */
  cacheBytes(): number;
  /** Keeps no ready bodies in memory while true. */
  dropCaches(drop: boolean): void;
  /** Waits until work in the background (compression, renewals) is done; for tests and shutdown. */
  settled(): Promise<void>;
}

export type { Site, SiteRules };

/** What fs stands on. */
export interface FsOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  /** Bytes of ready bodies kept in memory; the named limit when absent. */
  readonly cacheBytesMax?: number;
}

/** The fs domain over one database. */
export function createFs(options: FsOptions): Fs {
  const { machine, storage } = options;
  const deps = { machine, storage };
  const blobs = new BlobStore(deps);
  const manifests = createManifests({ ...deps, blobs });
  const variants = new VariantStore({ ...deps, blobs });
  const cacheBytesMax = options.cacheBytesMax ?? limits.cacheBytesMax;
  const cache = createLru<Blob>(cacheBytesMax);
  const boundary = (): string => machine.random(16).toHex();
  const context: SiteContext = { blobs, cache, boundary, manifests, variants };
  const tree = new Tree();
  const fstab = createFstab({ machine, storage, mounts: tree.mounts, manifests });
  const openTree: Fs["tree"] = (root, owner, quotaBytes) =>
    new InodeTree({ ...deps, blobs }, { root, appId: owner.appId, quotaBytes });

  tree.mounts.mount("/home", openTree("home", { appId: null }, limits.homeBytesMax));
  storage.users.onErase("fs", eraseFiles);
  storage.onCheck("fs", { sql: fileLooks });
  storage.onGc("fs", async () => {
    const { rows } = await eraseRemoved(storage);
    const freed = await collect(deps, blobs);
    return { rows: rows + freed.rows, bytes: freed.bytes };
  });

  return {
    blobs,
    manifests,
    tree: openTree,
    dropTree: (root) => dropTree({ write: storage.write.bind(storage) }, root),
    graft,
    fstab,
    mount: (path, filesystem) => tree.mounts.mount(path, filesystem),
    mountEach: (path, list, resolve) => tree.mounts.mountEach(path, list, resolve),
    setAppView: (view) => tree.setAppView(view),
    stat: (caller, path) => tree.stat(caller, path),
    ls: (caller, path, page) => tree.ls(caller, path, page),
    read: (caller, path, range) => tree.read(caller, path, range),
    write: (caller, path, body) => tree.write(caller, path, body),
    mkdir: (caller, path, how) => tree.mkdir(caller, path, how),
    mv: (caller, from, to) => tree.mv(caller, from, to),
    cp: (caller, from, to) => tree.cp(caller, from, to),
    rm: (caller, path, how) => tree.rm(caller, path, how),
    walk: (caller, path, signal) => tree.walk(caller, path, signal),
    site: (manifestId, rules) => new ManifestSite(context, manifestId, rules),
    cacheBytes: () => cache.bytes(),
    dropCaches: (drop) => cache.bound(drop ? 0 : cacheBytesMax),
    async settled() {
      await variants.settled();
      await blobs.settled();
    },
  };
}
