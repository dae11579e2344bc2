/**
 * The one tree as a caller sees it: paths in, file systems behind.
 *
 * Rules
 * 1. An app sees `/app` (its release, read-only) and `/data` (its own files) and nothing else
 *    (EACCES); everybody else sees the mount table, to the extent of their capabilities.
 * 2. Refusals name the path as the caller gave it.
 * 3. Between two file systems `mv` is a copy and a removal: when it fails half-way, the source is
 *    still whole and the copy so far is left for the caller to see.
 * 4. A copy streams; it never holds more than one chunk.
 */
import type { Bytes } from "../call.ts";
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Filesystem, Fs, Page, Stat } from "./fs.ts";
import { limits } from "./limits.ts";
import { MountTable, madeUpDirectory, mergeEntries, type Place, pageOf } from "./mount.ts";
import {
  at,
  basename,
  below,
  isDirectory,
  join,
  noEntry,
  normalise,
  notDirectory,
  PathError,
  readOnly,
} from "./path.ts";

type AppView = Parameters<Fs["setAppView"]>[0];
type Range = { readonly offset: number; readonly length: number | null };

/** The tree of one machine. */
export class Tree {
  readonly mounts = new MountTable();
  #appView: AppView = () => null;

  setAppView(view: AppView): void {
    this.#appView = view;
  }

  async stat(caller: Caller, path: string): Promise<Stat> {
    const full = normalise(path);
    const stat = await this.#peek(caller, full);
    if (stat === null) throw noEntry("describe", full);
    return stat;
  }

  async ls(caller: Caller, path: string, asked: Partial<Page> = {}): Promise<Stat[]> {
    const { after = "", limit = limits.lsEntriesMax } = asked;
    const full = normalise(path);
    const place = this.#find(caller, full, "list");
    const made = caller.kind === "app" ? [] : this.mounts.entries(full);
    const mounted = pageOf(made, { after, limit });
    const own = await this.#ownEntries(place, { after, limit });
    if (own !== null) return mergeEntries(own, mounted).slice(0, limit);
    if (caller.kind !== "app" && this.mounts.isDirectory(full)) return mounted;
    const there = await this.#peek(caller, full);
    throw there === null ? noEntry("list", full) : notDirectory("list", full);
  }

  async read(caller: Caller, path: string, range: Range): Promise<Bytes> {
    const { place } = this.#place(caller, path, "read");
    return at(place.mountPoint, () => place.filesystem.read(place.path, range));
  }

  async write(caller: Caller, path: string, body: ReadableStream<Uint8Array>): Promise<Stat> {
    const { full, place } = this.#place(caller, path, "write");
    const write = (): Promise<Stat> => place.filesystem.write(place.path, body, caller);
    return { ...(await at(place.mountPoint, write)), path: full };
  }

  async mkdir(caller: Caller, path: string, options: { parents: boolean }): Promise<Stat> {
    const full = normalise(path);
    const place = this.#find(caller, full, "make directory");
    if (place === null) return this.#madeUp(full, options);
    const make = (): Promise<Stat> => place.filesystem.mkdir(place.path, options, caller);
    return { ...(await at(place.mountPoint, make)), path: full };
  }

  async rm(
    caller: Caller,
    path: string,
    options: { recursive: boolean },
  ): Promise<{ removed: number }> {
    const { full, place } = this.#place(caller, path, "remove");
    this.#refuseMountPoint(caller, full, "remove");
    return at(place.mountPoint, () => place.filesystem.rm(place.path, options));
  }

  async mv(caller: Caller, from: string, to: string): Promise<Stat> {
    const source = this.#place(caller, from, "move");
    const target = this.#place(caller, to, "move to");
    this.#refuseMountPoint(caller, source.full, "move");
    if (source.place.mountPoint === target.place.mountPoint) {
      const { filesystem, mountPoint, path } = source.place;
      const move = (): Promise<Stat> => filesystem.mv(path, target.place.path);
      return { ...(await at(mountPoint, move)), path: target.full };
    }
    if (source.place.filesystem.readOnly) throw readOnly("move", source.full);
    const copied = await this.#copy(caller, source, target);
    await this.rm(caller, source.full, { recursive: true });
    return copied;
  }

  async cp(caller: Caller, from: string, to: string): Promise<Stat> {
    const source = this.#place(caller, from, "copy");
    const target = this.#place(caller, to, "copy to");
    if (source.full === target.full || below(source.full, target.full) !== null) {
      const state = "into itself";
      throw new PathError("EINVAL", { action: "copy", path: source.full, state });
    }
    return this.#copy(caller, source, target);
  }

  async *walk(caller: Caller, path: string, signal: AbortSignal): AsyncIterable<Stat> {
    const top = await this.stat(caller, path);
    if (top.kind === "file") {
      yield top;
      return;
    }
    for await (const entry of this.#entries(caller, top.path)) {
      if (signal.aborted) return;
      yield entry;
      if (entry.kind === "dir") yield* this.#below(caller, entry.path, signal);
    }
  }

  /** A directory that cannot be read is passed over: one lost disk must not end every search. */
  async *#below(caller: Caller, path: string, signal: AbortSignal): AsyncIterable<Stat> {
    try {
      yield* this.walk(caller, path, signal);
    } catch (error) {
      const code = error instanceof SysError ? error.code : null;
      if (code !== "EIO" && code !== "EACCES" && code !== "ENOENT") throw error;
    }
  }

  /** All entries of a directory, a page at a time: a walk of a million files takes seconds. */
  async *#entries(caller: Caller, path: string): AsyncIterable<Stat> {
    const limit: number = limits.walkEntries;
    for (let after: string | null = ""; after !== null; ) {
      // Others' turn before each page.
      await new Promise((resolve) => setImmediate(resolve));
      const page: Stat[] = await this.ls(caller, path, { after, limit });
      yield* page;
      const last: Stat | undefined = page.length < limit ? undefined : page.at(-1);
      after = last === undefined ? null : basename(last.path);
    }
  }

  async #copy(caller: Caller, source: Located, target: Located): Promise<Stat> {
    const stat = await this.stat(caller, source.full);
    if (stat.kind === "file") {
      const bytes = await this.read(caller, source.full, { offset: 0, length: null });
      return this.write(caller, target.full, bytes.stream);
    }
    const made = await this.#copyDirectory(caller, target);
    for await (const entry of this.#entries(caller, source.full)) {
      const name = entry.path.slice(entry.path.lastIndexOf("/"));
      const from = this.#place(caller, join(source.full, name), "copy");
      await this.#copy(caller, from, this.#place(caller, join(target.full, name), "copy to"));
    }
    return made;
  }

  /** The directory a copy goes into: made, unless it is there already. */
  async #copyDirectory(caller: Caller, target: Located): Promise<Stat> {
    const there = await this.#peek(caller, target.full);
    if (there === null) return this.mkdir(caller, target.full, { parents: false });
    if (there.kind === "file") throw notDirectory("copy to", target.full);
    return there;
  }

  async #peek(caller: Caller, full: string): Promise<Stat | null> {
    const place = this.#find(caller, full, "describe");
    const stat =
      place === null ? null : await at(place.mountPoint, () => place.filesystem.stat(place.path));
    if (stat !== null) return { ...stat, path: full };
    const made = caller.kind !== "app" && this.mounts.isDirectory(full);
    return made ? madeUpDirectory(full) : null;
  }

  async #ownEntries(place: Place | null, page: Page): Promise<Stat[] | null> {
    if (place === null) return null;
    const entries = await at(place.mountPoint, () => place.filesystem.ls(place.path, page));
    return (
      entries?.map((entry) => ({ ...entry, path: join(place.mountPoint, entry.path) })) ?? null
    );
  }

  #place(caller: Caller, path: string, action: string): Located {
    const full = normalise(path);
    const place = this.#find(caller, full, action);
    if (place !== null) return { full, place };
    if (!this.mounts.isDirectory(full)) throw noEntry(action, full);
    throw action === "read" ? isDirectory(action, full) : readOnly(action, full);
  }

  #madeUp(full: string, options: { parents: boolean }): Stat {
    if (!this.mounts.isDirectory(full)) throw readOnly("make directory", full);
    if (options.parents) return madeUpDirectory(full);
    const refused = { action: "make directory", path: full, state: "already there" };
    throw new PathError("EEXIST", refused);
  }

  #refuseMountPoint(caller: Caller, full: string, action: string): void {
    const pinned = caller.kind !== "app" && this.mounts.isMountPoint(full);
    if (!pinned) return;
    throw new PathError("EBUSY", { action, path: full, state: "something is mounted there" });
  }

  #find(caller: Caller, full: string, action: string): Place | null {
    if (caller.kind !== "app") return this.mounts.find(full);
    const view = this.#appView(caller);
    const seen =
      view === null ? null : (within("/app", view.app, full) ?? within("/data", view.data, full));
    if (seen !== null) return seen;
    throw new PathError(
      "EACCES",
      { action, path: full, state: "not visible to an app" },
      { hint: "an app sees /app (its release) and /data (its own files)" },
    );
  }
}

/** A path with what holds it. */
interface Located {
  readonly full: string;
  readonly place: Place;
}

function within(mountPoint: string, filesystem: Filesystem, full: string): Place | null {
  const path = below(mountPoint, full);
  return path === null ? null : { filesystem, mountPoint, path };
}

/** What a walk adds up to. ECANCELED when the caller went away half-way. */
export async function usage(
  path: string,
  entries: AsyncIterable<Stat>,
  signal: AbortSignal,
): Promise<{ path: string; files: number; directories: number; sizeBytes: number }> {
  let files = 0;
  let directories = 0;
  let sizeBytes = 0;
  for await (const entry of entries) {
    if (entry.kind === "dir") directories += 1;
    else files += 1;
    sizeBytes += entry.sizeBytes;
  }
  if (signal.aborted) throw new SysError("ECANCELED", "cannot count: the caller went away");
  return { path: normalise(path), files, directories, sizeBytes };
}

/** Everything below a path whose name matches a glob. ENOENT before the first line. */
export async function search(
  fs: Pick<Fs, "stat" | "walk">,
  caller: Caller,
  what: { path: string; name: string | undefined; signal: AbortSignal },
): Promise<AsyncIterable<Stat>> {
  await fs.stat(caller, what.path);
  return named(fs.walk(caller, what.path, what.signal), what.name);
}

async function* named(entries: AsyncIterable<Stat>, glob: string | undefined): AsyncIterable<Stat> {
  const pattern = glob === undefined ? null : new Bun.Glob(glob);
  for await (const entry of entries) {
    if (pattern === null || pattern.match(basename(entry.path))) yield entry;
  }
}
