/**
 * The device of the Linux kernel's file systems in processes: mounts one, reads its requests, writes
 * the answers, and ends with it. Only here is the host changed.
 *
 * Rules: requests are read one at a time by the runtime's threads and answered in any order; what is
 * mounted is seen by who mounted it alone, is read-only, and is detached in any end but SIGKILL.
 * What a killed one left ("Transport endpoint is not connected") is detached by the next.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { closeSync, openSync, read, readdirSync, writeSync } from "node:fs";
import { SysError } from "../../kernel/errno.ts";
import { fileError } from "../secret.ts";
import { parseRequest, type Request, requestBytesMax } from "./protocol.ts";

const device = "/dev/fuse";
/** mount(2): read-only, nothing that gives rights, no devices. */
const mountFlags = 1 | 2 | 4;
/** umount2(2): at once, also while somebody is in it (MNT_DETACH). */
const detached = 2;
/** And with MNT_FORCE: requests under way fail, and ours for the next one ends. */
const ended = detached | 1;

function libc() {
  const { symbols } = dlopen("libc.so.6", {
    mount: {
      args: [FFIType.ptr, FFIType.ptr, FFIType.ptr, FFIType.u64, FFIType.ptr],
      returns: FFIType.i32,
    },
    umount2: { args: [FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
  });
  return symbols;
}

/** A text as C has it, held while it is used. */
const cText = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(`${text}\0`);

/** A mounted file system. */
export interface Mounted {
  /** Answers requests until it is detached. */
  serve(answer: (request: Request) => Promise<Uint8Array | null>): Promise<void>;
  /** Detaches it; `serve` ends. */
  detach(): void;
}

function openDevice(): number {
  try {
    return openSync(device, "r+");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const missing = code === "ENOENT" || code === "ENODEV" || code === "ENXIO";
    const state = missing ? "this computer has no FUSE" : `no right to ${device}`;
    throw new SysError(missing ? "EIO" : "EACCES", `cannot mount: ${state}`, {
      hint: missing ? "load it: modprobe fuse (a container needs --device /dev/fuse)" : needsRoot,
      cause: error,
    });
  }
}

const needsRoot =
  "only root mounts: run it with sudo, or see it in one shell alone: unshare -Urm, and mount there";

/** Takes away what a killed one left, and refuses what is no empty directory. */
function prepare(directory: string): void {
  const names = (): string[] => readdirSync(directory);
  let found: string[];
  try {
    found = names();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOTCONN") {
      throw fileError("mount on", directory, error);
    }
    const target = cText(directory);
    libc().umount2(ptr(target), detached);
    found = names();
  }
  if (found.length === 0) return;
  throw new SysError("ENOTEMPTY", `cannot mount on "${directory}": the directory is not empty`, {
    hint: "name an empty one, so that nothing is hidden",
  });
}

/** Mounts a file system of this process on an empty directory. EACCES, ENOTEMPTY, EIO, ENOENT. */
export function mountOn(directory: string): Mounted {
  prepare(directory);
  const fd = openDevice();
  const { mount, umount2 } = libc();
  const owner = `user_id=${process.getuid?.() ?? 0},group_id=${process.getgid?.() ?? 0}`;
  const options = `fd=${fd},rootmode=40000,${owner},default_permissions`;
  const [source, target, kind, how] = [
    cText("fazt"),
    cText(directory),
    cText("fuse.fazt"),
    cText(options),
  ];
  if (mount(ptr(source), ptr(target), ptr(kind), mountFlags, ptr(how)) !== 0) {
    closeSync(fd);
    throw new SysError("EACCES", `cannot mount on "${directory}": this user may not mount`, {
      hint: needsRoot,
    });
  }
  let over = false;
  return {
    serve: (answer) => serve(fd, answer, () => over),
    detach() {
      if (over) return;
      over = true;
      // Older kernels let only root of the whole machine force it.
      if (umount2(ptr(target), ended) !== 0) umount2(ptr(target), detached);
    },
  };
}

/** The next request; null when it is over. */
function next(fd: number, buffer: Uint8Array): Promise<Uint8Array | null> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, null, (error, bytes) => {
      if (error === null) return resolve(buffer.slice(0, bytes));
      // ENODEV: detached. The others are of one request that went away.
      if (error.code === "ENODEV") return resolve(null);
      if (["EINTR", "EAGAIN", "ENOENT"].includes(error.code ?? ""))
        return resolve(new Uint8Array(0));
      reject(fileError("read", device, error));
    });
  });
}

async function serve(
  fd: number,
  answer: (request: Request) => Promise<Uint8Array | null>,
  isOver: () => boolean,
): Promise<void> {
  const buffer = new Uint8Array(requestBytesMax);
  const give = async (request: Request): Promise<void> => {
    const bytes = await answer(request);
    if (bytes === null) return;
    try {
      writeSync(fd, bytes);
    } catch {
      // Who asked has gone, or all of it has been detached: there is nobody to tell.
    }
  };
  try {
    for (;;) {
      const bytes = await next(fd, buffer);
      if (bytes === null) return;
      const request = parseRequest(bytes);
      if (request !== null) void give(request);
    }
  } catch (error) {
    if (!isOver()) throw error;
  } finally {
    closeSync(fd);
  }
}
