/**
 * Makes the fs domain: blobs and manifests over storage, the tree with `/home`, sites, and its
 * part of gc.
 */
import type { Machine } from "../machine.ts";
import type { Storage } from "../storage/mod.ts";
import { BlobStore } from "./blob.ts";
import type { Fs } from "./fs.ts";
import { collect } from "./gc.ts";
import { dropTree, InodeTree } from "./inode.ts";
import { limits } from "./limits.ts";
import { createLru } from "./lru.ts";
import { createManifests } from "./manifest.ts";
import { ManifestSite, type SiteContext } from "./site.ts";
import { Tree } from "./tree.ts";
import { VariantStore } from "./variant.ts";

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
  const cache = createLru<Blob>(options.cacheBytesMax ?? limits.cacheBytesMax);
  const boundary = (): string => machine.random(16).toHex();
  const context: SiteContext = { blobs, cache, boundary, manifests, variants };
  const tree = new Tree();
  const openTree: Fs["tree"] = (root, owner, quotaBytes) =>
    new InodeTree({ ...deps, blobs }, { root, appId: owner.appId, quotaBytes });

  tree.mounts.mount("/home", openTree("home", { appId: null }, limits.homeBytesMax));
  storage.onGc("fs", () => collect(deps, () => blobs.receiver.live()));

  return {
    blobs,
    manifests,
    tree: openTree,
    dropTree: (root) => storage.write((tx) => dropTree(tx, root)),
    mount: (path, filesystem) => tree.mounts.mount(path, filesystem),
    mountEach: (path, list, resolve) => tree.mounts.mountEach(path, list, resolve),
    setAppView: (view) => tree.setAppView(view),
    stat: (caller, path) => tree.stat(caller, path),
    ls: (caller, path) => tree.ls(caller, path),
    read: (caller, path, range) => tree.read(caller, path, range),
    write: (caller, path, body) => tree.write(caller, path, body),
    mkdir: (caller, path, how) => tree.mkdir(caller, path, how),
    mv: (caller, from, to) => tree.mv(caller, from, to),
    cp: (caller, from, to) => tree.cp(caller, from, to),
    rm: (caller, path, how) => tree.rm(caller, path, how),
    walk: (caller, path, signal) => tree.walk(caller, path, signal),
    site: (manifestId, rules) => new ManifestSite(context, manifestId, rules),
    cacheBytes: () => cache.bytes(),
    async settled() {
      await variants.settled();
      await blobs.settled();
    },
  };
}
