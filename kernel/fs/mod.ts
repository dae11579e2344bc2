/**
 * fs: one tree. Inodes over content-addressed, chunked blobs in the database; releases as
 * manifests; sites that answer HTTP from a manifest; mounts that put it all under one root.
 *
 *     await fs.read(caller, "/apps/blog/index.html", { offset: 0, length: null });
 *
 * Invariants
 * 1. A file is seen whole or not at all; identical content is stored once.
 * 2. No path leaves its mount; an app sees only its own `/app` and `/data`.
 * 3. At most one chunk (1 MB) of a file is in memory for a reader or a writer.
 * It never reads the host's disk and never follows a symbolic link: what the owner attaches below
 * `/mnt` is read by a driver.
 */
export type {
  Blobs,
  Filesystem,
  Fs,
  Hash,
  ManifestFile,
  Manifests,
  Page,
  Resolver,
  Stat,
} from "./fs.ts";
export { createFs } from "./fs.ts";
export type { Attached, MountDriver, MountWish } from "./fstab.ts";
export { contentTypeOf } from "./http.ts";
export * as limits from "./limits.ts";
export { byCodePoint, type Knob, type PseudoEntries, type PseudoFile, pseudo } from "./mount.ts";
export {
  basename,
  components,
  isDirectory,
  noEntry,
  notDirectory,
  PathError,
  parent,
} from "./path.ts";
export { migrations } from "./schema.ts";
export type { HeaderRule, Redirect, Site, SiteRules } from "./site.ts";
