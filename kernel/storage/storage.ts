/**
 * The storage domain's interface: what the rest of the kernel may do with the one database.
 *
 * Rules: every change goes through `write`, which answers only when its bytes are on the disk;
 * work functions are synchronous and touch only their own domain's tables; reads see every write
 * that was acknowledged. Callers never hold a statement or a cursor across an await.
 */
import type { Kv } from "./kv.ts";
import type { LogRing } from "./log.ts";
import type { Migration, MigrationState } from "./migrate.ts";

/** What SQLite stores and gives back. Integers are JS numbers within ±2^53. */
export type SqlValue = string | number | null | Uint8Array;
export type SqlRow = Record<string, SqlValue>;

/** Reading: statements are prepared once per SQL text and cached. */
export interface Reader {
  get<T>(sql: string, ...values: SqlValue[]): T | null;
  all<T>(sql: string, ...values: SqlValue[]): T[];
}

/** Writing, only inside `write`. `run` answers the number of rows changed. */
export interface Tx extends Reader {
  run(sql: string, ...values: SqlValue[]): number;
}

export interface WriteOptions {
  /**
   * Goes through in read-only mode too: for what frees space, lets the owner in or records what
   * was done (removals, sessions, audit). Never for what an app could grow without end.
   */
  readonly essential?: boolean;
}

/** `normal` takes writes; `read-only` refuses them with ENOSPC (disk at the mark). */
export type StorageMode = "normal" | "read-only";

export interface StorageStatus {
  readonly mode: StorageMode;
  readonly dataDir: string;
  readonly schemaVersion: number;
  readonly databaseBytes: number;
  readonly walBytes: number;
  readonly diskFreeBytes: number;
  readonly diskTotalBytes: number;
  /** Acknowledged write requests and the transactions that carried them. */
  readonly writes: number;
  readonly commits: number;
}

/** What a database check found; `ok` is true when `problems` is empty. */
export interface StorageCheck {
  readonly ok: boolean;
  readonly problems: string[];
  readonly tables: { readonly name: string; readonly rows: number }[];
}

export interface Storage {
  readonly read: Reader;
  readonly kv: Kv;
  readonly logs: LogRing;
  /**
   * Runs `work` inside the next transaction of the group and resolves once it is fsynced
   * (`synchronous=FULL`). When `work` throws, its own changes alone are rolled back and the
   * promise rejects with what it threw. Throws ENOSPC (disk full or at the mark), EIO, EAGAIN
   * (too many writes wait already).
   */
  write<T>(work: (tx: Tx) => T, options?: WriteOptions): Promise<T>;
  status(): StorageStatus;
  /** The steps of the schema: applied, pending, or applied by a newer binary. */
  migrations(): MigrationState[];
  check(): Promise<StorageCheck>;
  /** Directory of an app's SQL volume (`app.db` within), made when it is absent. */
  volumeDir(appId: string): string;
  /** Deletes an app's volume for good. */
  dropVolume(appId: string): Promise<void>;
  /** Registers work to be done by `gc`, which reports what it freed. */
  onGc(name: string, collect: () => Promise<GcReport>): void;
  gc(): Promise<(GcReport & { name: string })[]>;
  /** Waits for the queue, checkpoints and closes. Idempotent. */
  close(): Promise<void>;
}

export interface GcReport {
  readonly rows: number;
  readonly bytes: number;
}

export type { Kv, LogRing, Migration, MigrationState };
