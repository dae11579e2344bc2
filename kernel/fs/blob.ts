/**
 * Content-addressed blobs: files by the SHA-256 of their bytes, in rows of one chunk.
 *
 * Rules: nothing is visible under a hash until all of it is stored and verified (`receive.ts`); at
 * most one chunk of a body is in memory; a blob nothing refers to is kept for a grace that
 * `missing` and `put` renew, so that what a deploy was told is there stays there until its
 * manifest is put.
 */
import type { Bytes } from "../call.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Storage } from "../storage/mod.ts";
import { type BatchResult, BatchUpload } from "./batch.ts";
import { chunkStream, clamp, openSource, type Window } from "./chunk.ts";
import type { Blobs, Hash } from "./fs.ts";
import { limits } from "./limits.ts";
import { type BlobRow, chunkId, findBlob, Receiver, renew, tooBig } from "./receive.ts";

/** The blobs of one database. */
export class BlobStore implements Blobs {
  readonly receiver: Receiver;
  readonly #machine: Machine;
  readonly #storage: Storage;
  #renewals: Promise<unknown> = Promise.resolve();

  constructor(deps: { machine: Machine; storage: Storage }) {
    this.#machine = deps.machine;
    this.#storage = deps.storage;
    this.receiver = new Receiver(deps);
  }

  missing(hashes: readonly Hash[]): Hash[] {
    const now = this.#machine.now();
    const stale: Hash[] = [];
    const missing: Hash[] = [];
    for (const hash of hashes) {
      const blob = findBlob(this.#storage.read, hash);
      if (blob === null) missing.push(hash);
      else if (blob.touched_at < now - limits.graceMs / 4) stale.push(hash);
    }
    if (stale.length > 0) this.#renew(stale, now);
    return missing;
  }

  #renew(hashes: readonly Hash[], now: number): void {
    const work = this.#storage.write((tx) => {
      for (const hash of hashes) renew(tx, hash, now);
    });
    // A grace that could not be renewed shows as ENOENT when the manifest is put.
    this.#renewals = work.catch(() => undefined);
  }

  async put(
    expected: { hash: Hash | null },
    body: ReadableStream<Uint8Array>,
  ): Promise<{ hash: Hash; sizeBytes: number; stored: boolean }> {
    const received = await this.receiver.body(expected, body);
    try {
      const stored = await this.#storage.write((tx) => received.commit(tx));
      return { hash: received.hash, sizeBytes: received.sizeBytes, stored };
    } finally {
      await received.release();
    }
  }

  putMany(body: ReadableStream<Uint8Array>): Promise<BatchResult> {
    return new BatchUpload({ storage: this.#storage, receiver: this.receiver }).run(
      openSource(body),
    );
  }

  open(hash: Hash, window: Window = { offset: 0, length: null }): Bytes {
    const blob = this.#stored(hash);
    const { start, end } = clamp(window, blob.size_bytes);
    return {
      stream: chunkStream({ sizeBytes: blob.size_bytes, window }, (index) =>
        this.#chunk(blob.id, index),
      ),
      sizeBytes: end - start,
      contentType: "application/octet-stream",
    };
  }

  bytes(hash: Hash): Uint8Array<ArrayBuffer> {
    const blob = this.#stored(hash);
    if (blob.size_bytes > limits.cachedBytesMax) throw tooBig(limits.cachedBytesMax);
    if (blob.size_bytes <= limits.chunkBytes && blob.size_bytes > 0) return this.#chunk(blob.id, 0);
    const whole = new Uint8Array(blob.size_bytes);
    for (let at = 0, index = 0; at < blob.size_bytes; at += limits.chunkBytes, index++) {
      whole.set(this.#chunk(blob.id, index), at);
    }
    return whole;
  }

  /** Waits until every renewed grace is durable. */
  async settled(): Promise<void> {
    await this.#renewals;
  }

  #stored(hash: Hash): BlobRow {
    const blob = findBlob(this.#storage.read, hash);
    if (blob !== null) return blob;
    throw new SysError("ENOENT", `cannot read blob "${hash}": not stored`, {
      hint: "upload it first",
    });
  }

  #chunk(blobId: number, index: number): Uint8Array<ArrayBuffer> {
    const row = this.#storage.read.get<{ bytes: Uint8Array<ArrayBuffer> }>(
      "SELECT bytes FROM fs_chunk WHERE id = ?",
      chunkId(blobId, index),
    );
    if (row !== null) return row.bytes;
    throw new SysError("EIO", "cannot read file: it was removed while it was read");
  }
}
