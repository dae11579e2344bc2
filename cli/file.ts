/**
 * Bytes of a reply into a file of this computer: written beside it and renamed, so that a file is
 * there whole or as it was. What is no file (a pipe, a device) is written to as it is.
 */
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

/** Writes and closes; a pipe cannot be flushed to a disk. */
async function pourInto(
  file: FileHandle,
  chunks: AsyncIterable<Uint8Array>,
  special: boolean,
): Promise<number> {
  let sizeBytes = 0;
  try {
    for await (const chunk of chunks) {
      await file.writeFile(chunk);
      sizeBytes += chunk.byteLength;
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
