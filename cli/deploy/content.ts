/**
 * The content of a release: each file with its hash and a way to read it again. Files over 5 MB
 * are hashed and sent as streams; nothing larger is ever held whole.
 */
import { readFileSync } from "node:fs";
import { SysError } from "../../kernel/errno.ts";
import { limits } from "./limits.ts";
import type { SourceFile } from "./tree.ts";

/** One file of the release as the kernel is told of it, and its bytes when they are wanted. */
export interface Content {
  readonly path: string;
  /** SHA-256, lower-case hex. */
  readonly hash: string;
  readonly sizeBytes: number;
  readonly mode: number;
  open(): ReadableStream<Uint8Array> | Uint8Array;
}

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** Bytes that exist only here, such as the bundle. */
export function madeContent(path: string, bytes: Uint8Array): Content {
  return { path, hash: sha256(bytes), sizeBytes: bytes.length, mode: 0o644, open: () => bytes };
}

/** A file of this machine. EIO when it cannot be read. */
export async function fileContent(file: SourceFile): Promise<Content> {
  const { path, mode, source } = file;
  try {
    if (file.sizeBytes <= limits.wholeBytesMax) {
      const bytes = readFileSync(source);
      const open = () => readFileSync(source);
      return { path, mode, hash: sha256(bytes), sizeBytes: bytes.length, open };
    }
    const hasher = new Bun.CryptoHasher("sha256");
    let sizeBytes = 0;
    for await (const chunk of Bun.file(source).stream()) {
      hasher.update(chunk);
      sizeBytes += chunk.length;
    }
    const open = () => Bun.file(source).stream();
    return { path, mode, hash: hasher.digest("hex"), sizeBytes, open };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SysError("EIO", `cannot read ${JSON.stringify(path)}: ${why}`, {
      hint: "check its permissions",
      cause,
    });
  }
}
