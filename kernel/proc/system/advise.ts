/**
 * Has the kernel forget what it keeps of a file in memory, so that the next read is the disk's
 * answer (posix_fadvise(2), POSIX_FADV_DONTNEED).
 */
import { dlopen, FFIType } from "bun:ffi";
import { closeSync, fdatasyncSync, openSync } from "node:fs";

const dontNeed = 4;

/** Drops what is kept of a file or a device; what was not written yet is written first. */
export function dropPages(path: string): void {
  const { symbols: libc, close } = dlopen("libc.so.6", {
    posix_fadvise: {
      args: [FFIType.i32, FFIType.i64, FFIType.i64, FFIType.i32],
      returns: FFIType.i32,
    },
  });
  const file = openSync(path, "r");
  try {
    fdatasyncSync(file);
    libc.posix_fadvise(file, 0, 0, dontNeed);
  } finally {
    closeSync(file);
    close();
  }
}
