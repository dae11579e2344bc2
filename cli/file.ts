/**
 * Bytes of a reply into a file of this computer: written beside it and renamed, so that a file is
 * there whole or as it was. What is no file (a pipe, a device) is written to as it is.
 */
import { dlopen } from "bun:ffi";
import { writeSync } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { fileError } from "./secret.ts";
import { UsageError } from "./usage.ts";

/** The mode of a file that holds an app's or a whole machine's data: its owner's alone. */
export const ownerOnly = 0o600;

/** Writes bytes to `path`; answers the bytes. A new file has `mode`, less what the user's mask takes. */
export async function writeWhole(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  mode = 0o666,
): Promise<number> {
  const there = await stat(path).catch(() => null);
  // To rename onto /dev/null would take it away from everybody.
  const special = there !== null && !there.isFile() && !there.isDirectory();
  const draft = special ? path : `${path}.${process.pid}.part`;
  let made = false;
  try {
    const file = await open(draft, special ? "w" : "wx", mode);
    made = !special;
    const sizeBytes = await pourInto(file, chunks, special);
    if (made) await rename(draft, path);
    return sizeBytes;
  } catch (error) {
    if (made) await rm(draft, { force: true });
    throw (error as { syscall?: unknown }).syscall === undefined
      ? error
      : fileError("write", path, error);
  }
}

/**
 * Bytes after which they are put on the disk: a gigabyte that is left to the host's memory holds up
 * everybody's next fsync on the same disk at once.
 */
const flushBytes = 4 * 1024 * 1024;

/** Wait, write, wait: sync_file_range(2). Unlike fdatasync it commits no journal, which all share. */
const throughDisk = 1 | 2 | 4;

type PutOnDisk = (file: number, from: number, bytes: number) => void;

/** Puts a range of a file on the disk; where the host cannot, the end of the file does it. */
function openPutOnDisk(): PutOnDisk {
  try {
    const { symbols } = dlopen("libc.so.6", {
      sync_file_range: { args: ["i32", "i64", "i64", "u32"], returns: "i32" },
    });
    return (file, from, bytes) => void symbols.sync_file_range(file, from, bytes, throughDisk);
  } catch {
    return () => undefined;
  }
}

/** Writes and closes; a pipe cannot be flushed to a disk. */
async function pourInto(
  file: FileHandle,
  chunks: AsyncIterable<Uint8Array>,
  special: boolean,
): Promise<number> {
  let sizeBytes = 0;
  let flushed = 0;
  const putOnDisk = openPutOnDisk();
  try {
    for await (const chunk of chunks) {
      if (special) await file.writeFile(chunk);
      // Nobody else waits in this process; a hop to another thread costs more than the copy.
      else for (let at = 0; at < chunk.byteLength; ) at += writeSync(file.fd, chunk, at);
      sizeBytes += chunk.byteLength;
      if (special || sizeBytes - flushed < flushBytes) continue;
      putOnDisk(file.fd, flushed, sizeBytes - flushed);
      flushed = sizeBytes;
    }
    if (!special) await file.sync();
  } finally {
    await file.close();
  }
  return sizeBytes;
}

/** A file as the body of an upload. */
export async function uploadBody(path: string): Promise<Blob> {
  const found = await stat(path).catch((error) => {
    throw fileError("read", path, error);
  });
  if (found.isDirectory()) throw new UsageError(`cannot send "${path}": is a directory`);
  return Bun.file(path);
}
