/**
 * storage: the database holds the world. One SQLite file (`data.db`, WAL, synchronous=FULL), EDD
 * migrations, key-value pairs and documents with transactions over both, a bounded log ring, and
 * the volumes apps open themselves.
 *
 *     await storage.write((tx) => tx.run("INSERT INTO …"));   // resolves when it is on the disk
 *
 * Invariants
 * 1. A write that resolved survives a power cut; one that rejected left nothing.
 * 2. Schemas only grow: an older binary runs on a newer database.
 * 3. One process owns the data directory; a second one is refused and told the first one's pid.
 * 4. A nearly full disk takes only essential writes (what frees space, logs in, records); a full
 *    one still starts, reads, and lets its owner make room.
 * It never lets another domain's SQL touch its tables, and never opens `data.db` twice.
 */
export type { Adjustable } from "./adjustable.ts";
export {
  type BackupHeader,
  type EncloseCheck,
  hold,
  lookApart,
  type Restored,
  replaceData,
  replaceDataAtNextOpen,
  restoreBackup,
  type VolumeCopy,
  verifyBackup,
  writeMachineKey,
} from "./backup/mod.ts";
export type { Docs } from "./doc/mod.ts";
export type { Kv, KvEntry, KvListOptions, KvScope, KvSetOptions } from "./kv.ts";
export type { StorageLimits } from "./limits.ts";
export * as limits from "./limits.ts";
export type { LogLevel, LogLine, LogQuery, LogRing } from "./log.ts";
export { type Migration, type MigrationState, rehearse } from "./migrate.ts";
export type { Left } from "./provenance.ts";
export { askReset, eraseWords } from "./reset.ts";
export { migrations } from "./schema.ts";
export {
  createStorage,
  type GcReport,
  type OwnLooks,
  type Reader,
  type SqlRow,
  type SqlValue,
  type Storage,
  type StorageCheck,
  type StorageMode,
  type StorageOptions,
  type StorageStatus,
  type Tx,
  type WriteOptions,
} from "./storage.ts";
export type { OwnedTable } from "./upkeep.ts";
