/**
 * Sends one snapshot: the file as it is read, in one pass, then the record that says what it is.
 * Without its record it is none; its record is only good with the log up to where it stood when the
 * reading began, which has been shipped before.
 */
import { compressFrame, keysOf, recordBytes } from "./format/mod.ts";
import type { Position } from "./replica-position.ts";
import type { ReplicaStore } from "./store/mod.ts";

export interface Sending {
  readonly store: ReplicaStore;
  readonly database: string;
  /** How far the log was shipped when the reading began. */
  readonly position: Position;
  /** The file's bytes. */
  readonly pieces: AsyncIterable<Uint8Array>;
  /** The time for what is written down, Unix ms. */
  readonly now: () => number;
}

/** Answers the time in the record, Unix ms. What the store refuses with comes through. */
export async function sendSnapshot(sending: Sending): Promise<number> {
  const { store, database, position, pieces, now } = sending;
  const { generation, index, point } = position;
  const keys = keysOf(database, generation);
  const hash = new Bun.CryptoHasher("sha256");
  let sizeBytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      hash.update(piece);
      sizeBytes += piece.length;
      yield piece;
    }
  }
  await store.putStream(keys.snapshot(index), compressFrame(counted()));
  const at = now();
  const sum = { sizeBytes, sha256: hash.digest("hex") };
  const record = { version: 1, index, offset: point.offset, ...sum, at };
  await store.put(keys.snapshotRecord(index), recordBytes(record));
  return at;
}
