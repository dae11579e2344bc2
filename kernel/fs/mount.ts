/**
 * The mount table: which file system a path of the tree belongs to; and pseudo file systems.
 *
 *     pseudo({ version: () => `${version}\n`, net: { routes: () => routesText() } })
 *
 * Rules: the longest mount point wins; directories that only lead to mount points (`/`, `/mnt`)
 * are made up, read-only, and list them; a directory attached with `mountEach` has one file system
 * an entry, found by name at each access, so that a new app is there at once. A pseudo file is made
 * when it is read: its size is 0 until then, as in Linux.
 */

import type { Bytes } from "../call.ts";
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import { clamp, streamOf } from "./body.ts";
import type { Filesystem, Page, Resolver, Stat } from "./fs.ts";
import { contentTypeOf } from "./http.ts";
import {
  basename,
  below,
  components,
  isDirectory,
  join,
  noEntry,
  normalise,
  readOnly,
  shown,
} from "./path.ts";

/** A file system, where it is attached, and the path within it. */
export interface Place {
  readonly filesystem: Filesystem;
  readonly mountPoint: string;
  readonly path: string;
}

type Mount =
  | { readonly kind: "one"; readonly filesystem: Filesystem }
  | { readonly kind: "each"; readonly list: () => string[]; readonly resolve: Resolver };

/** A directory of the tree that no file system holds. */
export function madeUpDirectory(path: string): Stat {
  return { path, kind: "dir", sizeBytes: 0, modifiedAt: 0, hash: null, mode: 0o555 };
}

/** The mounts of one tree. */
export class MountTable {
  readonly #mounts = new Map<string, Mount>();

  mount(path: string, filesystem: Filesystem): void {
    this.#add(path, { kind: "one", filesystem });
  }

  mountEach(path: string, list: () => string[], resolve: Resolver): void {
    this.#add(path, { kind: "each", list, resolve });
  }

  /** Takes away what is mounted exactly here; who reads from it reads on. */
  unmount(point: string): void {
    this.#mounts.delete(point);
  }

  /** Where something is mounted, by path; `writable` is null where each entry has its own say. */
  points(): { readonly path: string; readonly writable: boolean | null }[] {
    return [...this.#mounts]
      .map(([path, mount]) => {
        const writable = mount.kind === "one" ? !mount.filesystem.readOnly : null;
        return { path, writable };
      })
      .sort((a, b) => byCodePoint(a.path, b.path));
  }

  #add(path: string, mount: Mount): void {
    const point = normalise(path);
    if (point === "/" || this.#mounts.has(point)) {
      throw new SysError("EBUSY", `cannot mount ${shown(point)}: something is mounted there`, {
        hint: "choose another path",
      });
    }
    this.#mounts.set(point, mount);
  }

  /** Where a normal path leads, or null when no file system holds it. */
  find(path: string): Place | null {
    let best: string | null = null;
    for (const point of this.#mounts.keys()) {
      if (below(point, path) === null) continue;
      if (best === null || point.length > best.length) best = point;
    }
    const mount = best === null ? undefined : this.#mounts.get(best);
    if (best === null || mount === undefined) return null;
    const rest = below(best, path) ?? "/";
    if (mount.kind === "one") {
      return { filesystem: mount.filesystem, mountPoint: best, path: rest };
    }
    return rest === "/" ? null : entryOf(mount.resolve, best, rest);
  }

  /** The made-up entries of a directory: mount points, and the names of a `mountEach`. */
  entries(path: string): Stat[] {
    const names = new Set<string>();
    for (const [point, mount] of this.#mounts) {
      const rest = below(path, point);
      if (rest === null) continue;
      if (rest !== "/") names.add(rest.split("/")[1] ?? "");
      else if (mount.kind === "each") for (const name of mount.list()) names.add(name);
    }
    return [...names].sort(byCodePoint).map((name) => madeUpDirectory(join(path, `/${name}`)));
  }

  /** Whether a normal path is a directory of the mount table itself. */
  isDirectory(path: string): boolean {
    if (path === "/" || this.#mounts.get(path)?.kind === "each") return true;
    return [...this.#mounts.keys()].some((point) => below(path, point) !== null);
  }

  /** Whether something is mounted exactly here, so that it cannot be moved or removed. */
  isMountPoint(path: string): boolean {
    const place = this.find(path);
    return this.isDirectory(path) || (place !== null && place.path === "/");
  }
}

function entryOf(resolve: Resolver, point: string, rest: string): Place | null {
  const cut = rest.indexOf("/", 1);
  const name = cut < 0 ? rest.slice(1) : rest.slice(1, cut);
  const filesystem = resolve(name);
  if (filesystem === null) return null;
  const path = cut < 0 ? "/" : rest.slice(cut);
  return { filesystem, mountPoint: join(point, `/${name}`), path };
}

/** Adds entries of the mount table to those of a file system, which they cover. */
export function mergeEntries(own: readonly Stat[], mounted: readonly Stat[]): Stat[] {
  if (mounted.length === 0) return [...own];
  const names = new Map<string, Stat>();
  for (const entry of [...own, ...mounted]) names.set(basename(entry.path), entry);
  return [...names.values()].sort((a, b) => byCodePoint(a.path, b.path));
}

/** A page of entries that are in memory, sorted by name. Pure. */
export function pageOf(entries: readonly Stat[], { after, limit }: Page): Stat[] {
  const rest = entries.filter(({ path }) => byCodePoint(basename(path), after) > 0);
  return rest.slice(0, limit);
}

/** The order of names in a directory, which is the database's: by code point. Pure. */
export function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A file: its text now. */
export type PseudoFile = () => string | Promise<string>;

/** A directory: names to files and directories. */
export interface PseudoEntries {
  readonly [name: string]: PseudoFile | PseudoEntries;
}

/** A made-up file that takes what is written to it as a wish. */
export interface Knob {
  read(): string;
  /** Refuses with an errno that `fs.write` declares. */
  write(text: string, from: Caller): Promise<void>;
}

/** Bytes that are taken of what is written to a knob. */
const knobBytesMax = 4096;

/**
 * A file system of made-up files, read-only but for knobs: files that are not listed, found by
 * their path when the entries have none there.
 */
export function pseudo(
  entries: PseudoEntries,
  knob: (path: string) => Knob | null = () => null,
): Filesystem {
  const find = (path: string): PseudoFile | PseudoEntries | null => {
    let node: PseudoFile | PseudoEntries = entries;
    for (const name of components(path)) {
      if (typeof node === "function" || !Object.hasOwn(node, name)) return null;
      const next: PseudoFile | PseudoEntries | undefined = node[name];
      if (next === undefined) return null;
      node = next;
    }
    return node;
  };
  const sealed = (action: string) => async (path: string) => {
    throw readOnly(action, path);
  };
  const statOf = (path: string): Stat | null => {
    const node = find(path);
    if (node !== null) return describe(path, node);
    return knob(path) === null ? null : { ...describe(path, () => ""), mode: 0o644 };
  };
  return {
    readOnly: true,
    stat: statOf,
    ls(path, page) {
      const node = find(path);
      if (node === null || typeof node === "function") return null;
      const names = Object.keys(node).sort(byCodePoint);
      const all = names.map((name) => describe(join(path, `/${name}`), node[name] ?? {}));
      return pageOf(all, page);
    },
    async read(path, range) {
      const node = find(path) ?? knob(path)?.read;
      if (node === undefined) throw noEntry("read", path);
      if (typeof node !== "function") throw isDirectory("read", path);
      return bytesOf(await node(), path, range);
    },
    async write(path, body, from) {
      const found = find(path) === null ? knob(path) : null;
      if (found === null) throw readOnly("write", path);
      await found.write(await firstText(body), from);
      return statOf(path) ?? describe(path, () => "");
    },
    mkdir: sealed("make directory"),
    mv: sealed("move"),
    rm: sealed("remove"),
  };
}

async function firstText(body: ReadableStream<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes <= knobBytesMax) pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8").trim();
}

function describe(path: string, node: PseudoFile | PseudoEntries): Stat {
  const file = typeof node === "function";
  return {
    path,
    kind: file ? "file" : "dir",
    sizeBytes: 0,
    modifiedAt: 0,
    hash: null,
    mode: file ? 0o444 : 0o555,
  };
}

function bytesOf(
  text: string,
  path: string,
  range: { offset: number; length: number | null },
): Bytes {
  const bytes = new TextEncoder().encode(text);
  const { start, end } = clamp(range, bytes.length);
  const type = contentTypeOf(path);
  return {
    stream: streamOf(bytes.subarray(start, end)),
    sizeBytes: end - start,
    contentType: type === "application/octet-stream" ? "text/plain; charset=utf-8" : type,
  };
}
