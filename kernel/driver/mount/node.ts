/**
 * Names of the host's file system, one component at a time, by descriptors: so that nothing that
 * happens to a path meanwhile leads elsewhere, and no link is ever followed.
 *
 * Rules
 * 1. A name is opened with O_PATH and O_NOFOLLOW below the descriptor of its directory, by way of
 *    `/proc/self/fd/N/name` (openat(2) in other words), and judged by fstat(2) before anything else.
 * 2. Seen are regular files, and directories of the source's own file system; never links, devices,
 *    pipes, sockets, what else is mounted below, nor the kernel's own data.
 * 3. Every descriptor is closed by who opened it. They are numbers: a handle that the runtime finds
 *    unclosed would end the kernel.
 */
import * as node from "node:fs";
import { constants, type Stats } from "node:fs";
import { type Errno, isErrno, SysError } from "../../errno.ts";
import { PathError } from "../../fs/mod.ts";
import type { Lane } from "./lane.ts";

/** O_PATH of Linux, which the runtime has no name for: a place, and no right to its content. */
const placeOnly = 0o10000000;

/** What is written and not whole yet; never seen. */
export const draftPrefix = ".fazt-part_";

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

const promised = <T>(start: (done: Done<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    start((error, value) => (error === null ? resolve(value) : reject(error)));
  });

/** Closes a descriptor; nobody waits. */
export function close(fd: number): void {
  // One that cannot be closed is gone all the same (close(2)).
  node.close(fd, () => undefined);
}

/** Operations of the host, each a turn of the lane. Rejections are the runtime's. */
export function hostOn(lane: Lane) {
  const turn = <T>(start: (done: Done<T>) => void) => lane.run(() => promised(start));
  return {
    open: (path: string, flags: number, mode = 0) =>
      lane.run(() => promised<number>((done) => node.open(path, flags, mode, done)), close),
    fstat: (fd: number) => turn<Stats>((done) => node.fstat(fd, done)),
    lstat: (path: string) => turn<Stats>((done) => node.lstat(path, done)),
    stat: (path: string) => turn<Stats>((done) => node.stat(path, done)),
    readlink: (path: string) => turn<string>((done) => node.readlink(path, done)),
    realpath: (path: string) => turn<string>((done) => node.realpath(path, done)),
    access: (path: string, mode: number) =>
      turn<unknown>((done) => node.access(path, mode, (error) => done(error, null))),
    kind: (path: string) =>
      turn<node.StatsFs>((done) => node.statfs(path, done)).then(({ type }) => type),
    names: (path: string) => turn<string[]>((done) => node.readdir(path, done)),
    read: (fd: number, into: Uint8Array, position: number) =>
      turn<number>((done) => node.read(fd, into, 0, into.length, position, done)),
    write: (fd: number, bytes: Uint8Array) =>
      turn<number>((done) => node.write(fd, bytes, 0, bytes.length, null, done)),
    /** Whose it is, and its mode. */
    give: async (fd: number, to: { uid: number; gid: number; mode: number }) => {
      if (process.getuid?.() === 0) {
        const give = (done: Done<null>) => node.fchown(fd, to.uid, to.gid, (e) => done(e, null));
        // Some disks know no owners; the file is the kernel's then.
        await turn(give).catch(() => undefined);
      }
      await turn<unknown>((done) => node.fchmod(fd, to.mode, (error) => done(error, null)));
    },
    sync: (fd: number) => turn<unknown>((done) => node.fsync(fd, (error) => done(error, null))),
    mkdir: (path: string) =>
      turn<unknown>((done) => node.mkdir(path, 0o755, (error) => done(error, null))),
    rename: (from: string, to: string) =>
      turn<unknown>((done) => node.rename(from, to, (error) => done(error, null))),
    unlink: (path: string) =>
      turn<unknown>((done) => node.unlink(path, (error) => done(error, null))),
    rmdir: (path: string) =>
      turn<unknown>((done) => node.rmdir(path, (error) => done(error, null))),
  };
}

export type Host = ReturnType<typeof hostOn>;

/** A name below an open directory. `name` is one component. */
export const under = (fd: number, name: string): string => `/proc/self/fd/${fd}/${name}`;
/** What a descriptor is of, to be opened or read anew. */
export const again = (fd: number): string => `/proc/self/fd/${fd}`;

/** The host, as far as one source shows it. */
export interface Seeing {
  readonly host: Host;
  readonly root: Root;
}

/** A place that is seen: an O_PATH descriptor and what it is of. */
export interface Place {
  readonly fd: number;
  readonly stats: Stats;
}

/** A source: where it begins, and what of it is never seen. */
export interface Root {
  /** Absolute, without links. */
  readonly path: string;
  /** Device and inode of the kernel's own data. */
  readonly hidden: Pick<Stats, "dev" | "ino">;
}

/** Whether a name below a directory of this device is seen. Pure. */
export function isSeen(root: Root, device: number, stats: Stats): boolean {
  if (stats.isFile()) return true;
  const own = stats.dev === root.hidden.dev && stats.ino === root.hidden.ino;
  return stats.isDirectory() && stats.dev === device && !own;
}

/** The errno of the runtime's error, as one of ours. */
function codeOf(error: unknown): Errno {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "EPERM") return "EACCES";
  if (code === "ELOOP" || code === "ENAMETOOLONG") return "ENOENT";
  if (code === "EMFILE" || code === "ENFILE") return "EAGAIN";
  return isErrno(code) ? code : "EIO";
}

const states: Partial<Record<Errno, string>> = {
  EACCES: "the kernel has no right to it on this host",
  ENOENT: "no such file or directory",
  ENOSPC: "the disk is full",
  EROFS: "the disk is read-only",
};

/** What the host refused, about a path of the file system. */
export function refusal(error: unknown, action: string, path: string): unknown {
  if (error instanceof SysError || !(error instanceof Error)) return error;
  const code = codeOf(error);
  const state = states[code] ?? `the host says ${(error as NodeJS.ErrnoException).code ?? "no"}`;
  return new PathError(code, { action, path, state }, { cause: error });
}

/** EIO: the source is not where it was. */
function sourceGone(action: string, path: string, cause?: unknown): PathError {
  return new PathError(
    "EIO",
    { action, path, state: "what is mounted there is not to be found on the host" },
    { hint: "is its disk connected? fazt fs mounts says what is missing", cause },
  );
}

/** Opens the source itself. Rejects with `sourceGone`. */
export async function openRoot(
  { host, root }: Seeing,
  about: { readonly action: string; readonly path: string },
): Promise<Place> {
  const flags = placeOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const gone = (cause: unknown): never => {
    throw sourceGone(about.action, about.path, cause);
  };
  const fd = await host.open(root.path, flags).catch(gone);
  try {
    // A link in place of a directory above it would lead elsewhere.
    if ((await host.readlink(again(fd)).catch(gone)) !== root.path) gone("it leads elsewhere now");
    const stats = await host.fstat(fd);
    if (!isSeen(root, stats.dev, stats)) gone("the kernel's own data is there");
    return { fd, stats };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Opens a name below a place; null when there is none that is seen. */
export async function step(on: Seeing, at: Place, name: string): Promise<Place | null> {
  if (name.startsWith(draftPrefix)) return null;
  const { host, root } = on;
  const fd = await host
    .open(under(at.fd, name), placeOnly | constants.O_NOFOLLOW)
    .catch((error) => {
      if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(String(error?.code))) return null;
      throw error;
    });
  if (fd === null) return null;
  try {
    const stats = await host.fstat(fd);
    if (isSeen(root, at.stats.dev, stats)) return { fd, stats };
  } catch (error) {
    close(fd);
    throw error;
  }
  close(fd);
  return null;
}
