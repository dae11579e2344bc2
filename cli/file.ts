/**
 * Bytes of a reply into a file of this computer: written beside it and renamed, so that a file is
 * there whole or as it was. What is no file (a pipe, a device) is written to as it is.
 */
import { fdatasyncSync, writeSync } from "node:fs";
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
const flushBytes = 16 * 1024 * 1024;

/** Writes and closes; a pipe cannot be flushed to a disk. */
async function pourInto(
  file: FileHandle,
  chunks: AsyncIterable<Uint8Array>,
  special: boolean,
): Promise<number> {
  let sizeBytes = 0;
  let flushed = 0;
  try {
    for await (const chunk of chunks) {
      if (special) await file.writeFile(chunk);
      // Nobody else waits in this process; a hop to another thread costs more than the copy.
      else for (let at = 0; at < chunk.byteLength; ) at += writeSync(file.fd, chunk, at);
      sizeBytes += chunk.byteLength;
      if (special || sizeBytes - flushed < flushBytes) continue;
      fdatasyncSync(file.fd);
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
