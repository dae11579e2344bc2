/**
 * Bodies of files: streams cut to chunks, hashed on the way, verified, and only then visible.
 *
 * Rules
 * 1. Never more than one chunk is gathered; reading goes on only when the chunk before was taken.
 * 2. A body shorter than one chunk is held until `commit` and costs no write of its own; a longer
 *    one writes each chunk as it comes to a staging blob (no hash).
 * 3. `commit` runs inside a write, so that a name and its bytes appear together or not at all.
 * 4. A staging blob is this process's while its id is in `live`; any other is garbage.
 */

import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Reader, Storage, Tx } from "../storage/mod.ts";
import type { Hash } from "./fs.ts";
import { limits } from "./limits.ts";

/** A window of a file: `length` null is to the end. Bytes. */
export interface Window {
  readonly offset: number;
  readonly length: number | null;
}

/** Reads exact amounts from a stream, for framed bodies and for cutting chunks. */
export interface Source {
  /** The next bytes, `max` at most and `max` unless the stream ends; empty at the end. */
  take(max: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Tells the other end that no more is wanted. */
  cancel(): Promise<void>;
}

/** Opens a stream for exact reading. */
export function openSource(stream: ReadableStream<Uint8Array>): Source {
  const reader = stream.getReader();
  let left: Uint8Array = new Uint8Array(0);
  return {
    async take(max) {
      const parts: Uint8Array[] = [];
      let gathered = 0;
      while (gathered < max) {
        if (left.length === 0) {
          const next = await reader.read();
          if (next.done) break;
          left = next.value;
          continue;
        }
        const part = left.subarray(0, max - gathered);
        left = left.subarray(part.length);
        parts.push(part);
        gathered += part.length;
      }
      return concat(parts, gathered);
    },
    async cancel() {
      // The source may have failed already, which is why it is being cancelled.
      await reader.cancel().catch(() => undefined);
    },
  };
}

function concat(parts: readonly Uint8Array[], sizeBytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * A file as a stream of pieces, one chunk in memory, each read when the one before was taken.
 * `read` gives chunk `i` of the file whole; it may be another reader's as well; `gone` hears that the
 * reader went away before the end. What has not been
 * taken of a piece is copied by whoever sends it, so that a client that reads nothing costs a piece
 * and no chunk of its own.
 */
export function chunkStream(
  file: { sizeBytes: number; window: Window },
  read: (index: number) => Uint8Array,
  gone: () => void = () => undefined,
): ReadableStream<Uint8Array> {
  const { start, end } = clamp(file.window, file.sizeBytes);
  let at = start;
  let held: { readonly index: number; readonly bytes: Uint8Array } | null = null;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at < end) {
          const index = Math.floor(at / limits.chunkBytes);
          const base = index * limits.chunkBytes;
          if (held?.index !== index) held = { index, bytes: read(index) };
          const piece = at - start < limits.firstBytes ? limits.firstPieceBytes : limits.pieceBytes;
          const to = Math.min(end - base, at - base + piece);
          const bytes = held.bytes.subarray(at - base, to);
          at += bytes.length;
          controller.enqueue(bytes);
        }
        if (at >= end) controller.close();
      },
      cancel: gone,
    },
    { highWaterMark: 0 },
  );
}

/** A window within a size: `start` inclusive, `end` exclusive. */
export function clamp(window: Window, sizeBytes: number): { start: number; end: number } {
  const start = Math.min(window.offset, sizeBytes);
  const end = window.length === null ? sizeBytes : Math.min(sizeBytes, start + window.length);
  return { start, end };
}

/** A body that is in hand already. */
export function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let sent = bytes.length === 0;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (!sent) controller.enqueue(bytes);
        sent = true;
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** A body that has been received and verified, and becomes visible by `commit`. */
export interface Received {
  readonly hash: Hash;
  readonly sizeBytes: number;
  /** Makes the blob visible; true when it was not stored before. */
  commit(tx: Tx): boolean;
  /** Ends the upload: called in any case, after the write that committed. */
  release(): Promise<void>;
}

/** What a body must be. */
export interface Expected {
  /** Null: whatever it hashes to. Else EBADMSG when it does not. */
  readonly hash: Hash | null;
  /** The most bytes it may have; the file limit when absent. */
  readonly bytesMax?: number;
  /** What is thrown beyond; EFBIG when absent. */
  readonly over?: () => SysError;
}

/** A row of a stored blob. */
export interface BlobRow {
  readonly id: number;
  readonly size_bytes: number;
  readonly touched_at: number;
}

/** Chunk `index` of a blob (schema.ts, invariant 2). */
export function chunkId(blobId: number, index: number): number {
  return blobId * 65_536 + index;
}

/** The stored blob of a hash, or null. */
export function findBlob(reader: Reader, hash: Hash): BlobRow | null {
  return reader.get<BlobRow>("SELECT id, size_bytes, touched_at FROM fs_blob WHERE hash = ?", hash);
}

/** Removes a blob and its chunks. */
export function dropBlob(tx: Tx, blobId: number): void {
  tx.run(
    "DELETE FROM fs_chunk WHERE id >= ? AND id < ?",
    chunkId(blobId, 0),
    chunkId(blobId + 1, 0),
  );
  tx.run("DELETE FROM fs_blob WHERE id = ?", blobId);
}

/** Starts the grace of a blob again. */
export function renew(tx: Tx, hash: Hash, now: number): void {
  tx.run("UPDATE fs_blob SET touched_at = ? WHERE hash = ?", now, hash);
}

/** SHA-256 of bytes in hand, lower-case hex. */
export function hashOf(bytes: Uint8Array): Hash {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** EFBIG for a file over a limit in bytes. */
export function tooBig(bytesMax: number): SysError {
  return new SysError("EFBIG", `cannot store file: larger than ${bytesMax} bytes`, {
    hint: "store it as smaller files, or raise the limit",
  });
}

function verify(expected: Hash | null, actual: Hash): void {
  if (expected === null || expected === actual) return;
  const message = `cannot store blob "${expected}": its bytes hash to "${actual}"`;
  throw new SysError("EBADMSG", message, {
    hint: "send the file again; it changed or was damaged on the way",
  });
}

function checkSize(expected: Expected, sizeBytes: number): void {
  const bytesMax = expected.bytesMax ?? limits.fileBytesMax;
  if (sizeBytes > bytesMax) throw expected.over?.() ?? tooBig(bytesMax);
}

/** Receives bodies for one database. */
export class Receiver {
  readonly #machine: Machine;
  readonly #storage: Storage;
  readonly #live = new Set<number>();

  constructor(deps: { machine: Machine; storage: Storage }) {
    this.#machine = deps.machine;
    this.#storage = deps.storage;
  }

  /** Ids of the staging blobs being written now. */
  live(): ReadonlySet<number> {
    return this.#live;
  }

  /** Takes a body in whole. EBADMSG, EFBIG, ENOSPC, and whatever the body fails with. */
  async body(expected: Expected, body: ReadableStream<Uint8Array>): Promise<Received> {
    const source = openSource(body);
    const first = await source.take(limits.chunkBytes);
    if (first.length === limits.chunkBytes) return this.#long(expected, source, first);
    return this.small(expected, first);
  }

  /** The same for bytes in hand, one chunk at most. */
  small(expected: Expected, bytes: Uint8Array): Received {
    checkSize(expected, bytes.length);
    const hash = hashOf(bytes);
    verify(expected.hash, hash);
    return {
      hash,
      sizeBytes: bytes.length,
      commit: (tx) => this.#commitSmall(tx, hash, bytes),
      release: async () => undefined,
    };
  }

  #commitSmall(tx: Tx, hash: Hash, bytes: Uint8Array): boolean {
    if (findBlob(tx, hash) !== null) {
      renew(tx, hash, this.#machine.now());
      return false;
    }
    const id = this.#insert(tx, hash, bytes.length);
    if (bytes.length > 0) addChunk(tx, chunkId(id, 0), bytes);
    return true;
  }

  #insert(tx: Tx, hash: Hash | null, sizeBytes: number): number {
    const sql = "INSERT INTO fs_blob (hash, size_bytes, touched_at) VALUES (?, ?, ?) RETURNING id";
    const row = tx.get<{ id: number }>(sql, hash, sizeBytes, this.#machine.now());
    if (row === null) throw new SysError("EIO", "cannot store file: no row was made");
    return row.id;
  }

  async #long(expected: Expected, source: Source, first: Uint8Array): Promise<Received> {
    const known = expected.hash !== null && findBlob(this.#storage.read, expected.hash) !== null;
    const stagingId = known ? null : await this.#storage.write((tx) => this.#begin(tx));
    try {
      const { hash, sizeBytes } = await this.#drain({ expected, source, stagingId }, first);
      verify(expected.hash, hash);
      return this.#received({ hash, sizeBytes, stagingId });
    } catch (error) {
      await source.cancel();
      if (stagingId !== null) await this.#abandon(stagingId);
      throw error;
    }
  }

  /** Live within the transaction: gc may be the next work of the very same one. */
  #begin(tx: Tx): number {
    const id = this.#insert(tx, null, 0);
    this.#live.add(id);
    return id;
  }

  /** Reads a body to its end, writing its chunks unless the blob is stored already. */
  async #drain(
    into: { expected: Expected; source: Source; stagingId: number | null },
    first: Uint8Array,
  ): Promise<{ hash: Hash; sizeBytes: number }> {
    const hasher = new Bun.CryptoHasher("sha256");
    let sizeBytes = 0;
    let index = 0;
    for (let bytes = first; bytes.length > 0; bytes = await into.source.take(limits.chunkBytes)) {
      sizeBytes += bytes.length;
      checkSize(into.expected, sizeBytes);
      hasher.update(bytes);
      if (into.stagingId === null) continue;
      const id = chunkId(into.stagingId, index++);
      const chunk = bytes;
      await this.#storage.write((tx) => addChunk(tx, id, chunk));
    }
    return { hash: hasher.digest("hex"), sizeBytes };
  }

  #received(blob: { hash: Hash; sizeBytes: number; stagingId: number | null }): Received {
    const { hash, sizeBytes, stagingId } = blob;
    let published = false;
    return {
      hash,
      sizeBytes,
      commit: (tx) => {
        published = this.#publish(tx, blob);
        return published;
      },
      release: async () => {
        if (stagingId === null) return;
        if (published) this.#live.delete(stagingId);
        else await this.#abandon(stagingId);
      },
    };
  }

  /** Gives a staging blob its hash, unless another upload of the same bytes was first. */
  #publish(tx: Tx, blob: { hash: Hash; sizeBytes: number; stagingId: number | null }): boolean {
    const now = this.#machine.now();
    if (findBlob(tx, blob.hash) !== null) {
      renew(tx, blob.hash, now);
      return false;
    }
    const sql = "UPDATE fs_blob SET hash = ?, size_bytes = ?, touched_at = ? WHERE id = ?";
    if (tx.run(sql, blob.hash, blob.sizeBytes, now, blob.stagingId) === 1) return true;
    throw new SysError("EAGAIN", "cannot store file: it was collected while it was uploaded", {
      hint: "send the file again",
    });
  }

  async #abandon(stagingId: number): Promise<void> {
    // What cannot be removed now (a closed database) is removed by gc.
    const drop = (tx: Tx): void => dropBlob(tx, stagingId);
    await this.#storage.write(drop, { essential: true }).catch(() => undefined);
    this.#live.delete(stagingId);
  }
}

function addChunk(tx: Tx, id: number, bytes: Uint8Array): void {
  tx.run("INSERT INTO fs_chunk (id, bytes) VALUES (?, ?)", id, bytes);
}
