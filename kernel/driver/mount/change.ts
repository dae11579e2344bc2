/**
 * Changes to a directory of the host that was mounted to be changed.
 *
 * Rules
 * 1. A file is seen whole or as it was: written beside its place under a name that is not seen,
 *    synced, renamed, and its directory synced. What a killed kernel leaves is `.fazt-part_…`.
 * 2. Nothing that is not seen is ever replaced, removed, or written through.
 * 3. A new file belongs to whom its directory belongs to; a replaced one keeps owner and mode.
 */
import { constants, type Stats } from "node:fs";
import { isDirectory, noEntry, notDirectory, PathError } from "../../fs/mod.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { type Changes, type HostTree, split, statOf } from "./directory.ts";
import { removalDepthMax } from "./limits.ts";
import { again, close, draftPrefix, type Place, step, under } from "./node.ts";

interface Parts {
  readonly machine: Machine;
  readonly storage: Pick<Storage, "writable">;
  readonly tree: HostTree;
}

/** Changes to the files of one tree. */
export function changesTo({ machine, storage, tree }: Parts): Changes {
  const { host, root } = tree;

  /** The kernel's own disk has a mark above which nobody writes. */
  const assertRoom = (place: Place, action: string, path: string): void => {
    if (place.stats.dev !== root.hidden.dev || storage.writable()) return;
    const state = "the disk of this machine is nearly full";
    throw new PathError("ENOSPC", { action, path, state }, { hint: "free space first" });
  };

  /** A name in a directory: what is seen there; EACCES when something is there and not seen. */
  const target = async (dir: Place, name: string, about: About): Promise<Stats | null> => {
    const found = await step(tree, dir, name);
    if (found !== null) {
      close(found.fd);
      return found.stats;
    }
    const there = await host.lstat(under(dir.fd, name)).catch(() => null);
    if (there === null && !name.startsWith(draftPrefix)) return null;
    const state = "a link, or another thing that is no file, is there on the host";
    throw new PathError("EACCES", { ...about, state });
  };

  /** Runs work on the directory that a path is in. ENOENT, ENOTDIR. */
  const inDirectory = <T>(
    about: About,
    work: (dir: Place, name: string) => Promise<T>,
  ): Promise<T> => {
    const { action, path } = about;
    const { dir, name } = split(path);
    return tree.at(action, dir, async (place) => {
      if (place === null) throw noEntry(action, path);
      if (!place.stats.isDirectory()) {
        throw action === "remove" ? noEntry(action, path) : notDirectory(action, path);
      }
      return await work(place, name);
    });
  };

  const sync = async (dir: Place): Promise<void> => {
    const fd = await host.open(again(dir.fd), constants.O_RDONLY | constants.O_DIRECTORY);
    await host.sync(fd).finally(() => close(fd));
  };

  const draft = async (dir: Place, name: string, body: ReadableStream<Uint8Array>) => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const fd = await host.open(under(dir.fd, name), flags, 0o600);
    try {
      for await (const chunk of body) {
        for (let at = 0; at < chunk.length; ) at += await host.write(fd, chunk.subarray(at));
      }
      return fd;
    } catch (error) {
      close(fd);
      await host.unlink(under(dir.fd, name)).catch(() => undefined);
      throw error;
    }
  };

  const write: Changes["write"] = (path, body) =>
    inDirectory({ action: "write", path }, async (dir, name) => {
      assertRoom(dir, "write", path);
      const old = await target(dir, name, { action: "write", path });
      if (old?.isDirectory()) throw isDirectory("write", path);
      const part = draftPrefix + machine.id("p");
      const fd = await draft(dir, part, body);
      try {
        const { uid, gid } = old ?? dir.stats;
        await host.give(fd, { uid, gid, mode: (old?.mode ?? 0o644) & 0o777 });
        await host.sync(fd);
        const stats = await host.fstat(fd);
        await host.rename(under(dir.fd, part), under(dir.fd, name));
        await sync(dir);
        return statOf(path, stats);
      } catch (error) {
        await host.unlink(under(dir.fd, part)).catch(() => undefined);
        throw error;
      } finally {
        close(fd);
      }
    });

  const makeOne = (path: string): Promise<Stats> =>
    inDirectory({ action: "make directory", path }, async (dir, name) => {
      assertRoom(dir, "make directory", path);
      await host.mkdir(under(dir.fd, name));
      const made = await step(tree, dir, name);
      if (made === null) throw noEntry("make directory", path);
      try {
        const { uid, gid } = dir.stats;
        const fd = await host.open(again(made.fd), constants.O_RDONLY | constants.O_DIRECTORY);
        await host.give(fd, { uid, gid, mode: 0o755 }).finally(() => close(fd));
        await sync(dir);
        return made.stats;
      } finally {
        close(made.fd);
      }
    });

  const seen = (path: string): Promise<Stats | null> =>
    tree.at("make directory", path, async (place) => place?.stats ?? null);

  const mkdir: Changes["mkdir"] = async (path, { parents }, from) => {
    const there = await seen(path);
    if (there !== null) {
      if (parents && there.isDirectory()) return statOf(path, there);
      const about = { action: "make directory", path, state: "already there" };
      throw new PathError(there.isDirectory() || !parents ? "EEXIST" : "ENOTDIR", about);
    }
    const { dir } = split(path);
    if (parents && dir !== path && (await seen(dir)) === null) await mkdir(dir, { parents }, from);
    return statOf(path, await makeOne(path));
  };

  const mv: Changes["mv"] = (from, to) =>
    inDirectory({ action: "move", path: from }, async (source, name) => {
      const found = await target(source, name, { action: "move", path: from });
      if (found === null) throw noEntry("move", from);
      return await inDirectory({ action: "move to", path: to }, async (dir, newName) => {
        await target(dir, newName, { action: "move to", path: to });
        await host.rename(under(source.fd, name), under(dir.fd, newName)).catch((error) => {
          if (error?.code !== "EEXIST") throw error;
          // Some file systems' word for a directory that is not empty (rename(2)).
          throw new PathError("ENOTEMPTY", { action: "move to", path: to, state: "not empty" });
        });
        await sync(dir);
        if (source.stats.ino !== dir.stats.ino) await sync(source);
        return statOf(to, found);
      });
    });

  /** Removes what a directory holds, deepest first; what is not seen stays, and is ENOTEMPTY. */
  const clear = async (dir: Place, path: string, depth: number): Promise<number> => {
    if (depth > removalDepthMax) {
      throw new PathError("EIO", { action: "remove", path, state: "too deep to be removed" });
    }
    let removed = 0;
    for (const name of await host.names(again(dir.fd))) {
      const inner = await step(tree, dir, name);
      if (inner === null) {
        const state = `it holds "${name}", which is no file and is not seen here`;
        throw new PathError("ENOTEMPTY", { action: "remove", path, state });
      }
      removed += await drop({ dir, name, path: `${path}/${name}`, place: inner, depth: depth + 1 });
    }
    return removed;
  };

  const drop = async (what: Removal): Promise<number> => {
    const { dir, name, path, place, depth } = what;
    const isDir = place.stats.isDirectory();
    const below = await (isDir ? clear(place, path, depth) : Promise.resolve(0)).finally(() =>
      close(place.fd),
    );
    await (isDir ? host.rmdir(under(dir.fd, name)) : host.unlink(under(dir.fd, name)));
    return below + 1;
  };

  const rm: Changes["rm"] = (path, { recursive }) =>
    inDirectory({ action: "remove", path }, async (dir, name) => {
      const place = await step(tree, dir, name);
      if (place === null) throw noEntry("remove", path);
      let removed = 1;
      if (recursive) removed = await drop({ dir, name, path, place, depth: 0 });
      else {
        close(place.fd);
        const isDir = place.stats.isDirectory();
        await (isDir ? host.rmdir(under(dir.fd, name)) : host.unlink(under(dir.fd, name)));
      }
      await sync(dir);
      return { removed };
    });

  return { write, mkdir, mv, rm };
}

interface About {
  readonly action: string;
  readonly path: string;
}

interface Removal {
  readonly dir: Place;
  readonly name: string;
  readonly path: string;
  readonly place: Place;
  readonly depth: number;
}
