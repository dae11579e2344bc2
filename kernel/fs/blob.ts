/**
 * Content-addressed blobs: files by the SHA-256 of their bytes, in rows of one chunk; many of them
 * in one upload; and collecting what nobody refers to.
 *
 * Rules: nothing is visible under a hash until all of it is stored and verified (`body.ts`). A
 * whole blob nothing refers to is kept for a grace that `missing` and `put` renew, and for as long
 * as uploads follow one another, so that what a deploy was told is there stays there until its
 * manifest is put, however slow its line. Each transaction of gc removes a
 * bounded number of rows and decides inside itself, so that a new reference is never broken.
 */
import type { Bytes } from "../call.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { GcReport, Storage, Tx } from "../storage/mod.ts";
import {
  type BlobRow,
  chunkId,
  chunkStream,
  clamp,
  dropBlob,
  findBlob,
  openSource,
  type Received,
  Receiver,
  renew,
  type Source,
  streamOf,
  tooBig,
  type Window,
} from "./body.ts";
import type { Blobs, Hash } from "./fs.ts";
import { limits } from "./limits.ts";

/** A small file is one look into the database, and by the index of hashes alone. */
const smallBlob = `SELECT c.bytes FROM fs_blob b CROSS JOIN fs_chunk c ON c.id = b.id * 65536
  WHERE b.hash = ?`;

interface SmallRow {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What the reader of a blob knows of it, from whatever refers to it. */
interface About {
  readonly contentType?: string;
  readonly sizeBytes?: number;
}

/** A window of bytes that have been read. */
function inHand(bytes: Uint8Array<ArrayBuffer>, window: Window, contentType: string): Bytes {
  const { start, end } = clamp(window, bytes.length);
  const whole = bytes.subarray(start, end);
  return {
    whole,
    sizeBytes: whole.length,
    contentType,
    get stream() {
      return streamOf(whole);
    },
  };
}

/** The blobs of one database. */
export class BlobStore implements Blobs {
  readonly receiver: Receiver;
  readonly #machine: Machine;
  readonly #storage: Storage;
  #renewals: Promise<unknown> = Promise.resolve();
  /** Readers between their first chunk and their last; who went away is found by its time (Unix ms). */
  readonly #streams = new Set<{ blobId: number; readAt: number }>();
  /** Uploads that follow one another within the grace: when it began, the last sign (Unix ms). */
  #deploy = { sinceMs: 0, lastMs: 0, underWay: 0 };
  /** Chunks that are being sent, by hash and index, while anybody holds them. */
  readonly #held = new Map<string, WeakRef<Uint8Array<ArrayBuffer>>>();
  readonly #gone = new FinalizationRegistry<string>((key) => {
    // Another copy may have come since.
    if (this.#held.get(key)?.deref() === undefined) this.#held.delete(key);
  });

  constructor(deps: { machine: Machine; storage: Storage }) {
    this.#machine = deps.machine;
    this.#storage = deps.storage;
    this.receiver = new Receiver(deps);
  }

  missing(hashes: readonly Hash[]): Hash[] {
    this.#noteUpload();
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

  put(
    expected: { hash: Hash | null },
    body: ReadableStream<Uint8Array>,
  ): Promise<{ hash: Hash; sizeBytes: number; stored: boolean }> {
    return this.#uploading(() => this.#put(expected, body));
  }

  async #put(
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
    const upload = new BatchUpload({ storage: this.#storage, receiver: this.receiver });
    return this.#uploading(() => upload.run(openSource(body)));
  }

  async #uploading<T>(upload: () => Promise<T>): Promise<T> {
    this.#noteUpload();
    this.#deploy.underWay++;
    try {
      return await upload();
    } finally {
      this.#noteUpload();
      this.#deploy.underWay--;
    }
  }

  #noteUpload(): void {
    const now = this.#machine.now();
    if (!this.#deploys(now)) this.#deploy.sinceMs = now;
    this.#deploy.lastMs = now;
  }

  #deploys(now: number): boolean {
    return this.#deploy.underWay > 0 || now - this.#deploy.lastMs <= limits.graceMs;
  }

  /** Blobs touched since then (Unix ms) stay, though nothing refers to them. */
  graceSince(): number {
    const now = this.#machine.now();
    const sinceMs = this.#deploys(now) ? this.#deploy.sinceMs : now;
    return Math.min(now, Math.max(sinceMs, now - limits.uploadMsMax)) - limits.graceMs;
  }

  /** Blobs that uploads are writing now. */
  uploads(): ReadonlySet<number> {
    return this.receiver.live();
  }

  open(hash: Hash, window: Window = { offset: 0, length: null }, about: About = {}): Bytes {
    const { contentType = "application/octet-stream", sizeBytes = Number.POSITIVE_INFINITY } =
      about;
    if (sizeBytes <= limits.wholeBytes) {
      const small = this.#storage.read.get<SmallRow>(smallBlob, hash);
      if (small !== null) return inHand(small.bytes, window, contentType);
    }
    const blob = this.#stored(hash);
    const { start, end } = clamp(window, blob.size_bytes);
    const stream = { blobId: blob.id, readAt: 0 };
    const read = (index: number) => {
      // Who has the last chunk in hand needs nothing more.
      if ((index + 1) * limits.chunkBytes >= end) this.#streams.delete(stream);
      else this.#streams.add(Object.assign(stream, { readAt: this.#machine.now() }));
      return this.#shared(`${hash} ${index}`, () => this.#chunk(blob.id, index));
    };
    // Strangers begin and leave as often as they like: between two gcs that would be many.
    const gone = () => void this.#streams.delete(stream);
    return {
      stream: chunkStream({ sizeBytes: blob.size_bytes, window }, read, gone),
      sizeBytes: end - start,
      contentType,
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

  /** Blobs of which somebody is in the middle: gc leaves them though nothing refers to them. */
  streams(): ReadonlySet<number> {
    const since = this.#machine.now() - limits.streamIdleMs;
    for (const stream of this.#streams) {
      if (stream.readAt < since) this.#streams.delete(stream);
    }
    return new Set(this.#streams.values().map(({ blobId }) => blobId));
  }

  #stored(hash: Hash): BlobRow {
    const blob = findBlob(this.#storage.read, hash);
    if (blob !== null) return blob;
    throw new SysError("ENOENT", `cannot read blob "${hash}": not stored`, {
      hint: "upload it first",
    });
  }

  /** A chunk that somebody may hold already: many readers of one file hold it once. */
  #shared(key: string, read: () => Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const held = this.#held.get(key)?.deref();
    if (held !== undefined) return held;
    const bytes = read();
    this.#held.set(key, new WeakRef(bytes));
    this.#gone.register(bytes, key);
    return bytes;
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
class BatchUpload {
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

interface GarbageRow {
  readonly id: number;
  readonly size_bytes: number;
}

const unreferenced =
  "SELECT id, size_bytes FROM fs_blob b WHERE id > ? AND id <= ? AND hash IS NOT NULL " +
  "AND touched_at < ? " +
  "AND NOT EXISTS (SELECT 1 FROM fs_manifest_file f WHERE f.hash = b.hash) " +
  "AND NOT EXISTS (SELECT 1 FROM fs_inode i WHERE i.hash = b.hash) " +
  "AND NOT EXISTS (SELECT 1 FROM fs_variant v WHERE v.variant_hash = b.hash) ORDER BY id LIMIT ?";

const windowEnd =
  "SELECT max(id) AS last FROM (SELECT id FROM fs_blob WHERE id > ? ORDER BY id LIMIT ?)";

/**
 * What this process has in hand, by blob: uploads that come in, files that go out. Of those of a
 * kernel that has taken over nothing is known here, so nothing is removed from then on.
 */
export interface InHand {
  uploads(): ReadonlySet<number>;
  streams(): ReadonlySet<number>;
  graceSince(): number;
}

/** One pass over everything fs keeps. */
export async function collect(
  deps: { machine: Machine; storage: Storage },
  hand: InHand,
): Promise<GcReport> {
  // On a disk at its mark no deploy goes on: what one has left there is the room that is needed.
  const { storage, machine } = deps;
  const before = storage.writable() ? hand.graceSince() : machine.now();
  const passes = [
    () => untilNone(storage, (tx) => dropAll(tx, staleUploads(tx, hand.uploads()))),
    () => dropGarbage(storage, before, hand),
    () => untilNone(storage, dropVariants),
    // Again: blobs that only a variant of a vanished origin held.
    () => dropGarbage(storage, before, hand),
  ];
  let [rows, bytes] = [0, 0];
  for (const pass of passes) {
    const freed = await pass();
    rows += freed.rows;
    bytes += freed.bytes;
  }
  return { rows, bytes };
}

const nothing: GcReport = { rows: 0, bytes: 0 };

/** The same step again and again, a transaction each, until it removes nothing. */
async function untilNone(storage: Storage, step: (tx: Tx) => GcReport): Promise<GcReport> {
  let [rows, bytes] = [0, 0];
  const unlessYielded = (tx: Tx) => (storage.yielded ? nothing : step(tx));
  for (;;) {
    const freed = await storage.write(unlessYielded, { essential: true });
    rows += freed.rows;
    bytes += freed.bytes;
    if (freed.rows === 0) return { rows, bytes };
  }
}

/** Goes over all blobs in windows, so that nobody waits while a hundred thousand are looked at. */
async function dropGarbage(storage: Storage, before: number, hand: InHand): Promise<GcReport> {
  let [rows, bytes] = [0, 0];
  for (let after: number | null = 0; after !== null; ) {
    const from: number = after;
    const step = (tx: Tx) => {
      if (storage.yielded) return { ...nothing, next: null };
      const last = tx.get<{ last: number | null }>(windowEnd, from, limits.gcWindowBlobs)?.last;
      if (last == null) return { rows: 0, bytes: 0, next: null };
      const found = tx.all<GarbageRow>(unreferenced, from, last, before, limits.gcRowsPerWrite);
      const streams = hand.streams();
      const garbage = found.filter(({ id }) => !streams.has(id));
      const freed = dropAll(tx, garbage);
      // Cut by its bounds: on from the last one that went, or that was looked at.
      const cut = freed.rows < garbage.length ? garbage[freed.rows - 1] : undefined;
      const full = found.length < limits.gcRowsPerWrite ? undefined : found.at(-1);
      return { ...freed, next: (cut ?? full)?.id ?? last };
    };
    const freed = await storage.write(step, { essential: true });
    rows += freed.rows;
    bytes += freed.bytes;
    after = freed.next;
  }
  return { rows, bytes };
}

function staleUploads(tx: Tx, live: ReadonlySet<number>): GarbageRow[] {
  const sql = "SELECT id, size_bytes FROM fs_blob WHERE hash IS NULL LIMIT ?";
  return tx
    .all<GarbageRow>(sql, limits.gcRowsPerWrite + live.size)
    .filter((row) => !live.has(row.id))
    .slice(0, limits.gcRowsPerWrite);
}

function dropAll(tx: Tx, blobs: readonly GarbageRow[]): GcReport {
  let rows = 0;
  let bytes = 0;
  for (const blob of blobs) {
    if (bytes > limits.gcBytesPerWrite) break;
    dropBlob(tx, blob.id);
    rows += 1;
    bytes += blob.size_bytes;
  }
  return { rows, bytes };
}

function dropVariants(tx: Tx): GcReport {
  const sql =
    "DELETE FROM fs_variant WHERE (hash, encoding) IN (SELECT hash, encoding FROM fs_variant v " +
    "WHERE NOT EXISTS (SELECT 1 FROM fs_blob b WHERE b.hash = v.hash) LIMIT ?)";
  return { rows: tx.run(sql, limits.gcRowsPerWrite), bytes: 0 };
}
