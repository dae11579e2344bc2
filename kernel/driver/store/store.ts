/**
 * The contract of a replica's store: somewhere that keeps objects by key. `s3.ts` and `file.ts`
 * implement it, and both pass one conformance suite (`store.test.ts`).
 *
 * Rules for an implementation: an object is there whole or not at all; what `put` has answered is
 * durable and seen by the next `list` and `get`; nothing is tried again unless it was opened with
 * more than one try (the scheduler backs off by itself, a restore does not); every wait is bounded. Refusals are SysError: ENOENT, EACCES (the store refuses these
 * credentials), EAGAIN (it asks to slow down), ETIMEDOUT, ENOSPC, EIO.
 */
export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** By the store's clock, Unix ms. */
  readonly modifiedAt: number;
}

/** An object's bytes and what tells this state of it from any other. */
export interface Versioned {
  readonly bytes: Uint8Array;
  readonly version: string;
}

export interface ReplicaStore {
  readonly kind: "s3" | "file";
  /** Without secrets, such as `s3://bucket/prefix`. */
  readonly place: string;
  /** Makes sure that it can be written to, read and removed from. */
  probe(): Promise<void>;
  /** Everything whose key begins with `prefix`, in order of key; `after` leaves out up to it. */
  list(prefix: string, after?: string): AsyncIterable<StoredObject>;
  /** The names directly below a prefix that ends with `/`: `a/` and `b/` for `a/1`, `b/2`. */
  names(prefix: string): Promise<string[]>;
  /** The bytes as they come. ENOENT before the first one. */
  get(key: string): AsyncIterable<Uint8Array>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** An object of any size, with memory for one part of it. */
  putStream(key: string, pieces: AsyncIterable<Uint8Array>): Promise<void>;
  /** Removes these in this order; what is not there is no error. */
  remove(keys: readonly string[]): Promise<void>;
  /** The bytes and version of a small object, or null. */
  look(key: string): Promise<Versioned | null>;
  /** Writes when the object still has this version (null: is absent); else answers false. */
  swap(key: string, bytes: Uint8Array, version: string | null): Promise<boolean>;
  /** Requests get so long (ms) from now on, those that are under way too; what goes on goes on. */
  hurry(requestMs: number): void;
  close(): void;
}

/** Where a replica is. Secrets are in memory only. */
export type Target =
  | { readonly kind: "file"; readonly path: string }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      /** Without slashes at its ends; may be empty. */
      readonly prefix: string;
      /** Null: Amazon's own for the region. */
      readonly endpoint: string | null;
      readonly region: string;
      readonly keyId: string;
      readonly secret: string;
    };

/** A target as it is shown. */
export function placeOf(target: Target): string {
  if (target.kind === "file") return `file://${target.path}`;
  return `s3://${target.bucket}${target.prefix === "" ? "" : `/${target.prefix}`}`;
}
