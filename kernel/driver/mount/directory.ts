/**
 * A directory of the host as a file system of the tree.
 *
 * Rules
 * 1. What is seen is decided by `node.ts`, component by component; everything else is not there.
 * 2. The host changes files as it likes: a listing and a size are of the moment they are asked for,
 *    and a file that gets shorter while it is read ends in an error, never in other bytes.
 * 3. Nothing of the main thread waits for the host, and at most one piece of a file is in memory.
 */
import { constants, type Stats } from "node:fs";
import type { Bytes } from "../../call.ts";
import type { Caller } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import {
  basename,
  byCodePoint,
  components,
  contentTypeOf,
  type Filesystem,
  isDirectory,
  noEntry,
  type Page,
  PathError,
  parent,
  type Stat,
} from "../../fs/mod.ts";
import { namesKeptMax, pieceBytes } from "./limits.ts";
import {
  again,
  close,
  draftPrefix,
  isSeen,
  openRoot,
  type Place,
  refusal,
  type Seeing,
  step,
  under,
} from "./node.ts";

type Range = { readonly offset: number; readonly length: number | null };

/** What changes a directory of the host; a read-only one has none. */
export type Changes = Pick<Filesystem, "write" | "mkdir" | "mv" | "rm">;

/** One directory of the host, opened anew at each use. */
export interface HostTree extends Seeing {
  /** Runs work on a place, which is closed after it; null when there is none. Errnos are ours. */
  at<T>(action: string, path: string, work: (place: Place | null) => Promise<T>): Promise<T>;
}

/** The tree of a root. */
export function hostTree(seeing: Seeing): HostTree {
  const find = async (about: { action: string; path: string }): Promise<Place | null> => {
    let place: Place | null = await openRoot(seeing, about);
    for (const name of components(about.path)) {
      const from: Place = place;
      const isDirectory = from.stats.isDirectory();
      const next = isDirectory ? step(seeing, from, name) : Promise.resolve(null);
      place = await next.finally(() => close(from.fd));
      if (place === null) return null;
    }
    return place;
  };
  return {
    ...seeing,
    async at(action, path, work) {
      try {
        const place = await find({ action, path });
        try {
          return await work(place);
        } finally {
          if (place !== null) close(place.fd);
        }
      } catch (error) {
        throw refusal(error, action, path);
      }
    },
  };
}

/** What the tree says of a place. */
export function statOf(path: string, stats: Stats): Stat {
  const file = stats.isFile();
  return {
    path,
    kind: file ? "file" : "dir",
    sizeBytes: file ? stats.size : 0,
    modifiedAt: Math.floor(stats.mtimeMs),
    hash: null,
    mode: stats.mode & 0o777,
  };
}

/** Names of a directory as they were found, while it does not change. */
interface Names {
  readonly of: string;
  readonly names: readonly string[];
}

/** The `limit` least names after one, in order; `names` in any order. Pure. */
export function leastNames(names: readonly string[], { after, limit }: Page): string[] {
  // Code units are in another order than code points only from the surrogates on.
  const wide = /[\ud800-\uffff]/;
  const order = (a: string, b: string): number => {
    if (wide.test(a) || wide.test(b)) return byCodePoint(a, b);
    return a < b ? -1 : a > b ? 1 : 0;
  };
  let least: string[] = [];
  let last: string | null = null;
  for (const name of names) {
    if (order(name, after) <= 0 || (last !== null && order(name, last) >= 0)) continue;
    least.push(name);
    if (least.length < 2 * limit) continue;
    least = least.sort(order).slice(0, limit);
    last = least.at(-1) ?? null;
  }
  return least.sort(order).slice(0, limit);
}

export class HostDirectory implements Filesystem {
  readonly readOnly: boolean;
  readonly #tree: HostTree;
  readonly #changes: Changes | null;
  #kept: Names | null = null;

  constructor(tree: HostTree, changes: Changes | null) {
    this.#tree = tree;
    this.#changes = changes;
    this.readOnly = changes === null;
  }

  async stat(path: string): Promise<Stat | null> {
    const stat = this.#tree.at("describe", path, async (place) =>
      place === null ? null : statOf(path, place.stats),
    );
    if (path !== "/") return stat;
    // A mount whose source is gone is still a directory of the tree.
    return stat.catch(() => null);
  }

  ls(path: string, page: Page): Promise<Stat[] | null> {
    return this.#tree.at("list", path, async (place) => {
      if (!place?.stats.isDirectory()) return null;
      const found: Stat[] = [];
      const names = await this.#namesOf(place);
      for (let { after } = page; found.length < page.limit; ) {
        const some = leastNames(names, { after, limit: page.limit });
        for (const name of some) {
          if (found.length === page.limit) break;
          const stats = await this.#look(place, name);
          if (stats !== null)
            found.push(statOf(path === "/" ? `/${name}` : `${path}/${name}`, stats));
        }
        if (some.length < page.limit) break;
        after = some.at(-1) ?? after;
      }
      return found;
    });
  }

  async read(path: string, range: Range): Promise<Bytes> {
    const { size } = await this.#tree.at("read", path, async (place) => {
      if (place === null) throw noEntry("read", path);
      if (place.stats.isDirectory()) throw isDirectory("read", path);
      // Whether it may be read is said now, and not in the middle of the answer.
      close(await this.#tree.host.open(again(place.fd), constants.O_RDONLY));
      return place.stats;
    });
    const start = Math.min(range.offset, size);
    const end = range.length === null ? size : Math.min(size, start + range.length);
    const contentType = contentTypeOf(path);
    return { stream: this.#stream(path, { start, end }), sizeBytes: end - start, contentType };
  }

  write(path: string, body: ReadableStream<Uint8Array>, from: Caller): Promise<Stat> {
    return this.#changing("write", path).write(path, body, from);
  }

  mkdir(path: string, options: { parents: boolean }, from: Caller): Promise<Stat> {
    return this.#changing("make directory", path).mkdir(path, options, from);
  }

  mv(from: string, to: string): Promise<Stat> {
    return this.#changing("move", from).mv(from, to);
  }

  rm(path: string, options: { recursive: boolean }): Promise<{ removed: number }> {
    return this.#changing("remove", path).rm(path, options);
  }

  #changing(action: string, path: string): Changes {
    if (this.#changes !== null) return this.#changes;
    const hint = "mount it with --writable, if it is to be changed";
    throw new PathError("EROFS", { action, path, state: "mounted read-only" }, { hint });
  }

  /** What a name of a directory is, or null when it is not seen or has gone. */
  async #look({ fd, stats: { dev } }: Place, name: string): Promise<Stats | null> {
    if (name.startsWith(draftPrefix)) return null;
    const { host, root } = this.#tree;
    const stats = await host.lstat(under(fd, name)).catch((error) => {
      if (error?.code === "ENOENT") return null;
      throw error;
    });
    return stats !== null && isSeen(root, dev, stats) ? stats : null;
  }

  async #namesOf({ fd, stats }: Place): Promise<readonly string[]> {
    const of = [stats.dev, stats.ino, stats.mtimeMs, stats.ctimeMs].join(" ");
    if (this.#kept?.of === of) return this.#kept.names;
    const names = await this.#tree.host.names(again(fd));
    this.#kept = names.length > namesKeptMax ? null : { of, names };
    return names;
  }

  /** Opened when the first byte is wanted, so that nobody holds what nobody reads. */
  #stream(
    path: string,
    { start, end }: { start: number; end: number },
  ): ReadableStream<Uint8Array> {
    const { host } = this.#tree;
    let fd: number | null = null;
    let at = start;
    const over = (): void => {
      if (fd !== null) close(fd);
      fd = null;
    };
    const open = (): Promise<number> =>
      this.#tree.at("read", path, async (place) => {
        if (!place?.stats.isFile()) throw noEntry("read", path);
        return host.open(again(place.fd), constants.O_RDONLY);
      });
    const pull = async (): Promise<Uint8Array> => {
      fd ??= await open();
      const piece = new Uint8Array(Math.min(pieceBytes, end - at));
      const bytes = await host.read(fd, piece, at);
      if (bytes > 0) return piece.subarray(0, bytes);
      throw new SysError("EIO", `cannot read all of it: it became shorter meanwhile`);
    };
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            if (at < end) {
              const piece = await pull();
              at += piece.length;
              controller.enqueue(piece);
            }
            if (at < end) return;
            over();
            controller.close();
          } catch (error) {
            over();
            throw refusal(error, "read", path);
          }
        },
        cancel: over,
      },
      { highWaterMark: 0 },
    );
  }
}

/** The directory a path is in, and its name there. */
export const split = (path: string): { readonly dir: string; readonly name: string } => ({
  dir: parent(path),
  name: basename(path),
});
