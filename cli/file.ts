/**
 * Bytes of a reply into a file of this computer: written beside it and renamed, so that a file is
 * there whole or as it was.
 */
import { open, rename, rm, stat } from "node:fs/promises";
import { fileError } from "./secret.ts";
import { UsageError } from "./usage.ts";

/** Writes bytes to `path`; answers the bytes. */
export async function writeWhole(path: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  const draft = `${path}.${process.pid}.part`;
  let sizeBytes = 0;
  try {
    const file = await open(draft, "wx");
    try {
      for await (const chunk of chunks) {
        await file.writeFile(chunk);
        sizeBytes += chunk.byteLength;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
    return sizeBytes;
  } catch (error) {
    await rm(draft, { force: true });
    throw (error as { syscall?: unknown }).syscall === undefined
      ? error
      : fileError("write", path, error);
  }
}

/** A file as the body of an upload. */
export async function uploadBody(path: string): Promise<Blob> {
  const found = await stat(path).catch((error) => {
    throw fileError("read", path, error);
  });
  if (found.isDirectory()) throw new UsageError(`cannot send "${path}": is a directory`);
  return Bun.file(path);
}
