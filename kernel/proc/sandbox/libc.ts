/**
 * The four system calls the kernel needs that the runtime does not offer: prlimit(2), mount(2),
 * umount2(2) and setpriority(2), through the C library. Each answers whether it worked; a host where the library is
 * not found, or where a call is refused, is one with less, and is told so.
 */
import { dlopen } from "bun:ffi";

export interface Libc {
  /** Sets soft and hard limit of a process; `resource` is a number of <asm-generic/resource.h>. */
  limit(pid: number, resource: number, max: number): boolean;
  /** Sets the niceness of one thread. */
  nice(thread: number, niceness: number): boolean;
  /** Mounts a tmpfs; `options` as in tmpfs(5). */
  mountTmpfs(path: string, options: string): boolean;
  /** Detaches a mount: who has it still keeps it. */
  unmount(path: string): boolean;
}

/** Numbers of getrlimit(2), the same on x86_64 and aarch64. */
export const resource = {
  fileBytes: 1,
  core: 4,
  threads: 6,
  descriptors: 7,
  signals: 11,
  queues: 12,
  nice: 13,
  realtime: 14,
} as const;

const names = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
/** MS_NOSUID, MS_NODEV, MS_NOEXEC: mount(2). */
const tmpfsFlags = 2 | 4 | 8;
/** MNT_DETACH: umount2(2). */
const detach = 2;

/** PRIO_PROCESS: setpriority(2). */
const ofThread = 0;

const symbols = {
  prlimit: { args: ["i32", "i32", "ptr", "ptr"], returns: "i32" },
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  umount2: { args: ["ptr", "i32"], returns: "i32" },
  setpriority: { args: ["i32", "u32", "i32"], returns: "i32" },
} as const;

const text = (value: string): Uint8Array => Buffer.from(`${value}\0`);

function open(name: string) {
  try {
    return dlopen(name, symbols).symbols;
  } catch {
    return null; // the next name is tried
  }
}

/** The C library of this program; null where it is not found. */
export function openLibc(): Libc | null {
  const found = names.map(open).find((one) => one !== null);
  if (!found) return null;
  const { prlimit, mount, umount2, setpriority } = found;
  const type = text("tmpfs");
  return {
    limit: (pid, which, max) =>
      prlimit(pid, which, new BigUint64Array([BigInt(max), BigInt(max)]), null) === 0,
    nice: (thread, niceness) => setpriority(ofThread, thread, niceness) === 0,
    mountTmpfs: (path, options) => mount(type, text(path), type, tmpfsFlags, text(options)) === 0,
    unmount: (path) => umount2(text(path), detach) === 0,
  };
}
