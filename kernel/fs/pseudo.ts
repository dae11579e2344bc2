/**
 * Pseudo file systems: directories and files whose content is made when it is read, for `/proc`
 * and `/sys`.
 *
 *     pseudo({ version: () => `${version}\n`, net: { routes: () => routesText() } })
 *
 * Rules: read-only; a file's size is not known until it is read (0 in `stat`, as in Linux); a
 * function may throw SysError, which the reader gets.
 */
import type { Bytes } from "../call.ts";
import { clamp, streamOf } from "./chunk.ts";
import type { Filesystem, Stat } from "./fs.ts";
import { contentTypeOf } from "./mime.ts";
import { components, join } from "./path.ts";
import { isDirectory, noEntry, readOnly } from "./refusal.ts";

/** A file: its text now. */
export type PseudoFile = () => string | Promise<string>;

/** A directory: names to files and directories. */
export interface PseudoEntries {
  readonly [name: string]: PseudoFile | PseudoEntries;
}

/** A read-only file system of made-up files. */
export function pseudo(entries: PseudoEntries): Filesystem {
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
  return {
    readOnly: true,
    stat(path) {
      const node = find(path);
      return node === null ? null : describe(path, node);
    },
    ls(path) {
      const node = find(path);
      if (node === null || typeof node === "function") return null;
      return Object.keys(node)
        .sort()
        .map((name) => describe(join(path, `/${name}`), node[name] ?? {}));
    },
    async read(path, range) {
      const node = find(path);
      if (node === null) throw noEntry("read", path);
      if (typeof node !== "function") throw isDirectory("read", path);
      return bytesOf(await node(), path, range);
    },
    write: sealed("write"),
    mkdir: sealed("make directory"),
    mv: sealed("move"),
    rm: sealed("remove"),
  };
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
