/**
 * Where things are in a replica, and what our own records beside them say. `database` is `data.db`
 * or `volumes/<app-id>.db`; numbers are eight hexadecimal digits; `g` is 16 of them.
 *     <database>/generations/<g>/snapshots/<index>.snapshot.lz4    Litestream v0.3's own
 *     <database>/generations/<g>/wal/<index>_<offset>.wal.lz4      layout, byte for byte
 *     fazt/<database>/<g>/{generation,snapshot-<index>,wal-<index>}.json
 *     fazt/lease.json
 * Invariants
 * 1. A record is written once and never again; only the lease changes.
 * 2. `snapshot-i.json` is written after its snapshot and after the log up to `offset`, without
 *    which that snapshot is not good (the file was read while the log was copied into it).
 * 3. `wal-i.json` is written after the last segment of index i and before the first of i + 1: an
 *    index below the newest one without its record, or shorter than it says, has lost something.
 * 4. Each record of an index names the SHA-256 of the one before it.
 */
import { z } from "zod";
import { SysError } from "../../errno.ts";

/** The machine's own database. */
export const machineDatabase = "data.db";
export const leaseKey = "fazt/lease.json";

const hex = (n: number): string => n.toString(16).padStart(8, "0");
const generationForm = /^[0-9a-f]{16}$/;
const databaseForm = /^(?:data\.db|volumes\/[a-z0-9_]{1,64}\.db)$/;

export const volumeDatabase = (appId: string): string => `volumes/${appId}.db`;

export const isDatabase = (name: string): boolean => databaseForm.test(name);
export const isGeneration = (name: string): boolean => generationForm.test(name);

export const generationsPrefix = (database: string): string => `${database}/generations/`;
export const generationPrefix = (database: string, generation: string): string =>
  `${generationsPrefix(database)}${generation}/`;
export const recordsPrefix = (database: string, generation: string): string =>
  `fazt/${database}/${generation}/`;

/** The keys of one generation. */
export function keysOf(database: string, generation: string) {
  const objects = generationPrefix(database, generation);
  const records = recordsPrefix(database, generation);
  return {
    walPrefix: `${objects}wal/`,
    indexPrefix: (index: number) => `${objects}wal/${hex(index)}_`,
    snapshotsPrefix: `${objects}snapshots/`,
    segment: (index: number, offset: number) =>
      `${objects}wal/${hex(index)}_${hex(offset)}.wal.lz4`,
    snapshot: (index: number) => `${objects}snapshots/${hex(index)}.snapshot.lz4`,
    generationRecord: `${records}generation.json`,
    snapshotRecord: (index: number) => `${records}snapshot-${hex(index)}.json`,
    walRecord: (index: number) => `${records}wal-${hex(index)}.json`,
  };
}

/** What a name in a generation stands for. */
export type Parsed =
  | { readonly kind: "snapshot"; readonly index: number }
  | { readonly kind: "segment"; readonly index: number; readonly offset: number };

/** Reads the end of an object's key; null for what is not ours or Litestream's. */
export function parseKey(key: string): Parsed | null {
  const snapshot = /\/snapshots\/([0-9a-f]{8})\.snapshot\.lz4$/.exec(key);
  if (snapshot !== null) return { kind: "snapshot", index: Number.parseInt(snapshot[1] ?? "", 16) };
  const segment = /\/wal\/([0-9a-f]{8})_([0-9a-f]{8})\.wal\.lz4$/.exec(key);
  if (segment === null) return null;
  const [index = 0, offset = 0] = segment.slice(1).map((text) => Number.parseInt(text, 16));
  return { kind: "segment", index, offset };
}

const Unsigned = z.int().min(0);
const Hash = z.string().regex(/^[0-9a-f]{64}$/);

/** The beginning of a generation. */
export const GenerationRecord = z.strictObject({
  version: z.literal(1),
  generation: z.string().regex(generationForm),
  database: z.string().regex(databaseForm),
  /** Of the lease under which it began. */
  epoch: Unsigned,
  startedAt: Unsigned,
  /** Why it was begun. */
  reason: z.string(),
});
export type GenerationRecord = z.output<typeof GenerationRecord>;

/** A snapshot that is whole; good with the log of its index up to `offset`. */
export const SnapshotRecord = z.strictObject({
  version: z.literal(1),
  index: Unsigned,
  offset: Unsigned,
  sizeBytes: Unsigned,
  sha256: Hash,
  at: Unsigned,
});
export type SnapshotRecord = z.output<typeof SnapshotRecord>;

/** An index of the log that is complete. `segments` are `[offset, length, Unix ms]`. */
export const WalRecord = z.strictObject({
  version: z.literal(1),
  index: Unsigned,
  length: Unsigned,
  sequence: Unsigned,
  salt1: Unsigned,
  salt2: Unsigned,
  check1: Unsigned,
  check2: Unsigned,
  segments: z.array(z.tuple([Unsigned, Unsigned, Unsigned])),
  previous: Hash.nullable(),
});
export type WalRecord = z.output<typeof WalRecord>;

/** Who writes to a prefix. */
export const Lease = z.strictObject({
  version: z.literal(1),
  owner: z.string().min(1).max(100),
  epoch: Unsigned,
  expiresAt: Unsigned,
});
export type Lease = z.output<typeof Lease>;

/** A record of these bytes; EBADMSG, naming the key, when they are not one. */
export function parseRecord<T>(schema: z.ZodType<T>, bytes: Uint8Array, key: string): T {
  try {
    return schema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw new SysError("EBADMSG", `cannot read "${key}": not a record of fazt`, { cause });
  }
}

export const recordBytes = (record: object): Uint8Array =>
  new TextEncoder().encode(`${JSON.stringify(record)}\n`);

export const sha256 = (bytes: Uint8Array): string =>
  new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
