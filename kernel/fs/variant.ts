/**
 * Compressed variants of blobs, made once in the background and kept as blobs of their own.
 *
 * Rules: one compression at a time, on the thread pool, never in a request; what was tried and
 * gained too little is remembered and not tried again; a variant lives as long as its origin
 * (gc). `generation` grows with each variant, so that pages know to look again.
 */
import { promisify } from "node:util";
import { brotliCompress, constants, gzip, zstdCompress } from "node:zlib";
import type { Machine } from "../machine.ts";
import type { Storage } from "../storage/mod.ts";
import type { BlobStore } from "./blob.ts";
import { streamOf } from "./body.ts";
import type { Hash } from "./fs.ts";
import type { Coding } from "./http.ts";
import { limits } from "./limits.ts";

/** A stored variant of a blob. */
export interface Variant {
  readonly coding: Coding;
  readonly hash: Hash;
  readonly sizeBytes: number;
}

interface Wanted {
  readonly hash: Hash;
  readonly coding: Coding;
}

/** Larger files get less effort, so that one core is never busy for long with one file. */
const largeBytes = 512 * 1024;

const compressors: Readonly<Record<Coding, (bytes: Uint8Array) => Promise<Uint8Array>>> = {
  br: (bytes) =>
    promisify(brotliCompress)(bytes, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: bytes.length > largeBytes ? 6 : 9,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      },
    }),
  zstd: (bytes) =>
    promisify(zstdCompress)(bytes, {
      params: { [constants.ZSTD_c_compressionLevel]: bytes.length > largeBytes ? 9 : 12 },
    }),
  gzip: (bytes) => promisify(gzip)(bytes, { level: bytes.length > largeBytes ? 6 : 9 }),
};

/** Whether a file of this size is compressed at all. */
export function worthTrying(sizeBytes: number): boolean {
  return sizeBytes >= limits.variantBytesMin && sizeBytes <= limits.variantBytesMax;
}

/** The variants of one database. */
export class VariantStore {
  /** Grows when any blob gets a variant. */
  generation = 0;
  readonly #machine: Machine;
  readonly #storage: Storage;
  readonly #blobs: BlobStore;
  readonly #queue = new Map<string, Wanted>();
  #working: Promise<void> | null = null;

  constructor(deps: { machine: Machine; storage: Storage; blobs: BlobStore }) {
    this.#machine = deps.machine;
    this.#storage = deps.storage;
    this.#blobs = deps.blobs;
  }

  /** The stored variants of a blob. */
  of(hash: Hash): Variant[] {
    return this.#storage.read.all<Variant>(
      "SELECT v.encoding AS coding, b.hash AS hash, b.size_bytes AS sizeBytes " +
        "FROM fs_variant v JOIN fs_blob b ON b.hash = v.variant_hash WHERE v.hash = ?",
      hash,
    );
  }

  /** Asks for a variant; it is there some time later, unless it was tried before. */
  want(hash: Hash, coding: Coding): void {
    const key = `${hash} ${coding}`;
    if (this.#queue.has(key) || this.#queue.size >= limits.variantQueueMax) return;
    if (this.#tried({ hash, coding })) return;
    this.#queue.set(key, { hash, coding });
    this.#working ??= this.#work();
  }

  /** Waits until the queue is empty. */
  async settled(): Promise<void> {
    while (this.#working !== null) await this.#working;
  }

  #tried(wanted: Wanted): boolean {
    const sql = "SELECT hash FROM fs_variant WHERE hash = ? AND encoding = ?";
    return this.#storage.read.get(sql, wanted.hash, wanted.coding) !== null;
  }

  async #work(): Promise<void> {
    // Not inside the request that asked.
    await Promise.resolve();
    for (const [key, wanted] of this.#queue) {
      // A full disk or a blob that went away: served without the variant, tried again later.
      await this.#make(wanted).catch(() => undefined);
      this.#queue.delete(key);
    }
    this.#working = null;
  }

  async #make(wanted: Wanted): Promise<void> {
    const origin = this.#blobs.bytes(wanted.hash);
    const bytes = await compressors[wanted.coding](origin);
    const kept = bytes.length <= origin.length * limits.variantRatioMax;
    const received = kept ? await this.#blobs.receiver.body({ hash: null }, streamOf(bytes)) : null;
    try {
      await this.#storage.write((tx) => {
        received?.commit(tx);
        tx.run(
          "INSERT INTO fs_variant (hash, encoding, variant_hash, created_at) " +
            "VALUES (?, ?, ?, ?) ON CONFLICT (hash, encoding) DO NOTHING",
          wanted.hash,
          wanted.coding,
          received?.hash ?? null,
          this.#machine.now(),
        );
      });
    } finally {
      await received?.release();
    }
    if (received !== null) this.generation += 1;
  }
}
