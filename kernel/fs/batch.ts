/**
 * Many blobs in one body, for deploys of thousands of small files.
 *
 * The body is a row of frames: 32 bytes SHA-256, 4 bytes length (unsigned, big endian), then that
 * many bytes. It ends after a whole frame; an empty body is no blobs.
 *
 * Rules: each blob is verified before it is stored; blobs of one chunk or less are written in
 * groups (2 MB or 256 of them a transaction), longer ones are streamed. What was stored before a
 * frame that is wrong stays stored: it is content-addressed, and gc takes it when nobody uses it.
 */
import { SysError } from "../errno.ts";
import type { Storage } from "../storage/mod.ts";
import type { Source } from "./chunk.ts";
import type { Hash } from "./fs.ts";
import { limits } from "./limits.ts";
import type { Received, Receiver } from "./receive.ts";

/** What a batch upload did; `known` blobs were stored before. */
export interface BatchResult {
  readonly stored: number;
  readonly known: number;
  readonly sizeBytes: number;
}

const headBytes = 36;

/** The head of a frame: which blob, and how many bytes follow. */
export function frameHead(hash: Hash, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(headBytes);
  head.set(Uint8Array.fromHex(hash), 0);
  new DataView(head.buffer).setUint32(32, sizeBytes);
  return head;
}

function cut(): SysError {
  return new SysError("EBADMSG", "cannot store blobs: the upload ends inside a frame", {
    hint: "send the whole batch again; blobs that arrived are kept",
  });
}

async function nextHead(source: Source): Promise<{ hash: Hash; sizeBytes: number } | null> {
  const head = await source.take(headBytes);
  if (head.length === 0) return null;
  if (head.length < headBytes) throw cut();
  return { hash: head.subarray(0, 32).toHex(), sizeBytes: new DataView(head.buffer).getUint32(32) };
}

/** The next `sizeBytes` of a source as a stream of its own. */
function bounded(source: Source, sizeBytes: number): ReadableStream<Uint8Array> {
  let left = sizeBytes;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await source.take(Math.min(left, limits.chunkBytes));
        if (bytes.length === 0) throw cut();
        left -= bytes.length;
        controller.enqueue(bytes);
        if (left === 0) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Stores a framed body. EBADMSG, EFBIG, EINVAL (too many), ENOSPC. */
export class BatchUpload {
  readonly #storage: Storage;
  readonly #receiver: Receiver;
  #waiting: Received[] = [];
  #waitingBytes = 0;
  #stored = 0;
  #known = 0;
  #sizeBytes = 0;

  constructor(deps: { storage: Storage; receiver: Receiver }) {
    this.#storage = deps.storage;
    this.#receiver = deps.receiver;
  }

  async run(source: Source): Promise<BatchResult> {
    try {
      for (let count = 0; ; count++) {
        const head = await nextHead(source);
        if (head === null) break;
        if (count === limits.batchBlobsMax) throw tooMany();
        await this.#take(source, head);
      }
      await this.#flush();
    } catch (error) {
      await source.cancel();
      throw error;
    }
    return { stored: this.#stored, known: this.#known, sizeBytes: this.#sizeBytes };
  }

  async #take(source: Source, head: { hash: Hash; sizeBytes: number }): Promise<void> {
    this.#sizeBytes += head.sizeBytes;
    const expected = { hash: head.hash };
    if (head.sizeBytes > limits.chunkBytes) {
      const received = await this.#receiver.body(expected, bounded(source, head.sizeBytes));
      await this.#commit([received]);
      return;
    }
    const bytes = await source.take(head.sizeBytes);
    if (bytes.length < head.sizeBytes) throw cut();
    this.#waiting.push(this.#receiver.small(expected, bytes));
    this.#waitingBytes += bytes.length;
    const full = this.#waitingBytes >= limits.batchWriteBytes;
    if (full || this.#waiting.length >= limits.batchWriteBlobs) await this.#flush();
  }

  async #flush(): Promise<void> {
    const group = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (group.length > 0) await this.#commit(group);
  }

  async #commit(group: readonly Received[]): Promise<void> {
    try {
      const stored = await this.#storage.write(
        (tx) => group.filter((received) => received.commit(tx)).length,
      );
      this.#stored += stored;
      this.#known += group.length - stored;
    } finally {
      for (const received of group) await received.release();
    }
  }
}

function tooMany(): SysError {
  return new SysError(
    "EINVAL",
    `cannot store blobs: more than ${limits.batchBlobsMax} in one batch`,
    {
      hint: "send several batches",
    },
  );
}
