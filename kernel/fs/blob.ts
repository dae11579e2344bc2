/**
 * Content-addressed blobs: files by the SHA-256 of their bytes, in rows of one chunk.
 *
 * Rules
 * 1. Nothing is visible under a hash until all of it is stored and verified.
 * 2. A body of one chunk or less takes one transaction; a longer one writes each chunk as it
 *    comes to a staging blob (no hash) and becomes visible by one last row.
 * 3. A staging blob that no upload of this process is writing is garbage at once; a whole blob
 *    nothing refers to is garbage after the grace. `missing` and `put` renew the grace.
 * 4. At most one chunk a body is in memory.
 */
import { SysError } from "../errno.ts";
import type { Bytes } from "../call.ts";
import type { Machine } from "../machine.ts";
import type { Reader, Storage, Tx } from "../storage/mod.ts";
import { chunkStream, clamp, openSource, type Source, type Window } from "./chunk.ts";
import type { Blobs, Hash } from "./fs.ts";
import { limits } from "./limits.ts";

/** A body that has been received and verified, and becomes visible by `commit`. */
export interface Received {
  readonly hash: Hash;
  readonly sizeBytes: number;
  /** Makes the blob visible; true when it was not stored before. */
  commit(tx: Tx): boolean;
  /** Ends the upload; call it in any case, after the write that committed. */
  release(): Promise<void>;
}

export interface Expected {
  readonly hash: Hash | null;
  /** The most this body may have; EFBIG beyond, or the `over` error when one is given. */
  readonly bytesMax?: number;
  readonly over?: () => SysError;
}

/** What the rest of fs may do with blobs, beside the public half. */
export interface BlobStore extends Blobs {
  /** Takes a body in without making it visible, so that a name and its bytes commit together. */
  receive(expected: Expected, body: ReadableStream<Uint8Array>): Promise<Received>;
  /** The same for bytes in hand, one chunk at most. EBADMSG. */
  receiveSmall(expected: Hash | null, bytes: Uint8Array): Received;
  /** Ids of staging blobs being written now. */
  live(): ReadonlySet<number>;
  /** Waits until renewals of the grace are durable. */
  settled(): Promise<void>;
}

interface BlobRow {
  readonly id: number;
  readonly size_bytes: number;
}

const chunkId = (blobId: number, index: number): number => blobId * 65_536 + index;

/** Removes the chunks of a blob; the number of rows. */
export function dropChunks(tx: Tx, blobId: number): number {
  return tx.run(
    "DELETE FROM fs_chunk WHERE id >= ? AND id < ?",
    chunkId(blobId, 0),
    chunkId(blobId + 1, 0),
  );
}

function findBlob(reader: Reader, hash: Hash): BlobRow | null {
  return reader.get<BlobRow>("SELECT id, size_bytes FROM fs_blob WHERE hash = ?", hash);
}

function tooBig(bytesMax: number): SysError {
  return new SysError("EFBIG", `cannot store file: larger than ${bytesMax} bytes`, {
    hint: "store it in smaller files, or raise the limit",
  });
}

function wrongBytes(expected: Hash, actual: Hash): SysError {
  return new SysError("EBADMSG", `cannot store blob "${expected}": its bytes hash to "${actual}"`, {
    hint: "send the file again; it changed or was damaged on the way",
  });
}

function noBlob(hash: Hash): SysError {
  return new SysError("ENOENT", `cannot read blob "${hash}": not stored`, {
    hint: "upload it first",
  });
}

/** SHA-256 of bytes in hand, lower-case hex. */
export function hashOf(bytes: Uint8Array): Hash {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** The blobs of one database. */
export function createBlobs(deps: { machine: Machine; storage: Storage }): BlobStore {
  const { machine, storage } = deps;
  const staging = new Set<number>();
  let renewals: Promise<unknown> = Promise.resolve();

  const renew = (tx: Tx, hash: Hash): void => {
    tx.run("UPDATE fs_blob SET touched_at = ? WHERE hash = ?", machine.now(), hash);
  };

  const insert = (tx: Tx, hash: Hash | null, sizeBytes: number): number => {
    const row = tx.get<{ id: number }>(
      "INSERT INTO fs_blob (hash, size_bytes, touched_at) VALUES (?, ?, ?) RETURNING id",
      hash,
      sizeBytes,
      machine.now(),
    );
    if (row === null) throw new SysError("EIO", "cannot store blob: no row was made");
    return row.id;
  };

  const addChunk = (tx: Tx, blobId: number, chunk: { index: number; bytes: Uint8Array }): void => {
    const { index, bytes } = chunk;
    tx.run("INSERT INTO fs_chunk (id, bytes) VALUES (?, ?)", chunkId(blobId, index), bytes);
  };

  const receiveSmall = (expected: Hash | null, bytes: Uint8Array): Received => {
    const hash = hashOf(bytes);
    if (expected !== null && expected !== hash) throw wrongBytes(expected, hash);
    return {
      hash,
      sizeBytes: bytes.length,
      commit(tx) {
        if (findBlob(tx, hash) !== null) {
          renew(tx, hash);
          return false;
        }
        const id = insert(tx, hash, bytes.length);
        if (bytes.length > 0) addChunk(tx, id, { index: 0, bytes });
        return true;
      },
      release: async () => undefined,
    };
  };

  /** Makes a staging blob visible, or drops it when another upload of the same bytes was first. */
  const publish = (tx: Tx, blobId: number, blob: { hash: Hash; sizeBytes: number }): boolean => {
    if (findBlob(tx, blob.hash) !== null) {
      renew(tx, blob.hash);
      return false;
    }
    const set = "UPDATE fs_blob SET hash = ?, size_bytes = ?, touched_at = ? WHERE id = ?";
    if (tx.run(set, blob.hash, blob.sizeBytes, machine.now(), blobId) === 1) return true;
    throw new SysError("ECANCELED", "cannot store file: its upload was collected", {
      hint: "send the file again",
    });
  };

  const dropStaging = async (blobId: number): Promise<void> => {
    const drop = (tx: Tx): void => {
      if (tx.run("DELETE FROM fs_blob WHERE id = ? AND hash IS NULL", blobId) === 1) {
        dropChunks(tx, blobId);
      }
    };
    // What cannot be removed now (a full disk) is removed by gc: it is staging and not live.
    await storage.write(drop).catch(() => undefined);
    staging.delete(blobId);
  };

  /** Writes what follows the first chunk, verifying on the way; the staging blob's id and hash. */
  const receiveLong = async (
    expected: Expected,
    source: Source,
    first: Uint8Array,
  ): Promise<Received> => {
    const hasher = new Bun.CryptoHasher("sha256");
    const bytesMax = expected.bytesMax ?? limits.fileBytesMax;
    const known = expected.hash !== null && findBlob(storage.read, expected.hash) !== null;
    const blobId = known ? 0 : await storage.write((tx) => insert(tx, null, 0));
    if (!known) staging.add(blobId);
    try {
      let sizeBytes = 0;
      let index = 0;
      for (let bytes = first; bytes.length > 0; bytes = await source.take(limits.chunkBytes)) {
        const chunk = { index: index++, bytes };
        sizeBytes += bytes.length;
        if (sizeBytes > bytesMax) throw (expected.over ?? (() => tooBig(bytesMax)))();
        hasher.update(bytes);
        if (!known) await storage.write((tx) => addChunk(tx, blobId, chunk));
      }
      const hash = hasher.digest("hex");
      if (expected.hash !== null && hash !== expected.hash) throw wrongBytes(expected.hash, hash);
      return {
        hash,
        sizeBytes,
        commit: (tx) => publish(tx, blobId, { hash, sizeBytes }),
        release: async () => {
          if (!known) await dropStaging(blobId);
        },
      };
    } catch (error) {
      await source.cancel();
      if (!known) await dropStaging(blobId);
      throw error;
    }
  };

  const receive = async (
    expected: Expected,
    body: ReadableStream<Uint8Array>,
  ): Promise<Received> => {
    const source = openSource(body);
    const first = await source.take(limits.chunkBytes);
    if (first.length === limits.chunkBytes) return receiveLong(expected, source, first);
    const bytesMax = expected.bytesMax ?? limits.fileBytesMax;
    if (first.length > bytesMax) throw (expected.over ?? (() => tooBig(bytesMax)))();
    return receiveSmall(expected.hash, first);
  };

  const chunkReader =
    (blobId: number) =>
    (index: number): Uint8Array => {
      const row = storage.read.get<{ bytes: Uint8Array }>(
        "SELECT bytes FROM fs_chunk WHERE id = ?",
        chunkId(blobId, index),
      );
      if (row === null) throw new SysError("EIO", "cannot read file: it was removed meanwhile");
      return row.bytes;
    };

  return {
    receive,
    receiveSmall,
    live: () => staging,
    settled: async () => {
      await renewals;
    },

    missing(hashes) {
      const present: Hash[] = [];
      const missing = hashes.filter((hash) => {
        if (findBlob(storage.read, hash) === null) return true;
        present.push(hash);
        return false;
      });
      if (present.length > 0) {
        // The grace of what was promised starts again; a promise that cannot be kept shows as
        // ENOENT when the manifest is put, so a failure here needs no other report.
        renewals = storage
          .write((tx) => {
            for (const hash of present) renew(tx, hash);
          })
          .catch(() => undefined);
      }
      return missing;
    },

    async put(expected, body) {
      const received = await receive(expected, body);
      try {
        const stored = await storage.write((tx) => received.commit(tx));
        return { hash: received.hash, sizeBytes: received.sizeBytes, stored };
      } finally {
        await received.release();
      }
    },

    open(hash, window: Window = { offset: 0, length: null }): Bytes {
      const blob = findBlob(storage.read, hash);
      if (blob === null) throw noBlob(hash);
      const { start, end } = clamp(window, blob.size_bytes);
      return {
        stream: chunkStream({ sizeBytes: blob.size_bytes, window }, chunkReader(blob.id)),
        sizeBytes: end - start,
        contentType: "application/octet-stream",
      };
    },

    bytes(hash) {
      const blob = findBlob(storage.read, hash);
      if (blob === null) throw noBlob(hash);
      if (blob.size_bytes > limits.cachedBytesMax) throw tooBig(limits.cachedBytesMax);
      const read = chunkReader(blob.id);
      const whole = new Uint8Array(blob.size_bytes);
      for (let at = 0, index = 0; at < blob.size_bytes; at += limits.chunkBytes, index++) {
        whole.set(read(index), at);
      }
      return whole;
    },

    putMany: async () => {
      throw new SysError("ENOSYS", "not yet");
    },
  };
}
