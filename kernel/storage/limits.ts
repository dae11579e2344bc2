/**
 * The named limits of storage. Every queue, cache, page and loop of this domain is bounded by one
 * of these; a test may make some of them smaller through `createStorage({ limits })`.
 */
export const limits = {
  /** Writes waiting for their group; beyond it EAGAIN. About two seconds of work at full speed. */
  queueWritesMax: 20_000,
  /** Writes in one transaction: keeps one turn of the event loop short. */
  groupWritesMax: 1_000,
  /** Milliseconds of work in one transaction, after which it commits and the rest waits a turn. */
  groupMsMax: 10,
  /** Prepared statements kept; the least recently used one is finalized. */
  statementsMax: 512,
  /** Milliseconds to wait for a lock: only a backup or a replicator ever holds one. */
  busyTimeoutMs: 5_000,
  /**
   * Bytes a page. Measured against 4096: a 1 MB chunk row is written in 0.75 and read in 0.6 of the
   * time, small writes cost the same; 16384 makes groups of small writes a fifth slower.
   */
  pageBytes: 8_192,
  /**
   * WAL pages after which a commit also checkpoints (8 MB): long enough that rows written again
   * and again are copied once, short enough that one checkpoint stays a matter of milliseconds.
   */
  walCheckpointPages: 1_024,
  /** Bytes the WAL file is cut back to after a checkpoint that emptied it. */
  walKeepBytes: 32 * 1024 * 1024,
  /** Bytes set aside so that a kernel can start, and its owner log in, on a full disk. */
  ballastBytes: 2 * 1024 * 1024,
  /** Pages one transaction gives back to the disk (2 MB). */
  vacuumPages: 256,

  /**
   * Milliseconds between two removals of what nothing refers to any more, from a start to the first,
   * and between two while the disk is at its mark: what an app writes over must not fill the disk.
   */
  gcEveryMs: 3_600_000,
  gcFirstMs: 300_000,
  gcFullEveryMs: 300_000,

  /** Share of the data partition in use above which writes are refused (contract: 80 %). */
  diskUsedMax: 0.8,
  /** Share it must fall below that before writes begin again: no switching back and forth. */
  diskBackShare: 0.01,
  /** Milliseconds a look at the disk's figures is good for. */
  diskFiguresMs: 2_000,

  /** Bytes of all keys and documents of one app: as much as its files (contract). */
  recordsBytesMax: 500 * 1024 * 1024,
  /** Bytes of a key in UTF-8 (contract: 1 KB). */
  kvKeyBytesMax: 1_024,
  /** Bytes of a value as JSON in UTF-8 (contract: 1 MB). */
  kvValueBytesMax: 1024 * 1024,
  /** Entries a page when the caller names none, and at most. */
  kvPage: 100,
  kvPageMax: 1_000,
  /** Bytes of values in one page: a page ends early, but never empty. */
  kvPageBytesMax: 4 * 1024 * 1024,
  /** Longest time to live: ten years. */
  kvTtlMsMax: 10 * 365 * 86_400_000,
  /** Milliseconds between two sweeps of expired keys, and rows one sweep removes. */
  kvSweepMs: 30_000,
  kvSweepRowsMax: 1_000,

  /** Bytes of a document as JSON in UTF-8: as much as a key's value. */
  docBytesMax: 1024 * 1024,
  /** Objects and arrays within one another: more is a mistake, and SQLite reads 1000. */
  docDepthMax: 64,
  /** Fields and elements of one document, all levels together: each is looked at. */
  docFieldsMax: 20_000,
  /** Bytes of a document's id in UTF-8. */
  docIdBytesMax: 255,
  /** Characters of a field's name in a query, with its dots, and names in it. */
  docFieldCharsMax: 256,
  docFieldPartsMax: 16,
  /** Characters of a text that count in sorting: keeps index entries and cursors small. */
  docSortCharsMax: 256,
  /** Conditions of one query, and operands of one `$in`: each is evaluated for each document. */
  docConditionsMax: 32,
  docOperandsMax: 100,
  /** Indexes of one collection: each is written with each document. */
  docIndexesMax: 16,
  /** Collections with indexes are bounded by this many indexes an app. */
  docIndexesAppMax: 256,
  /** Documents a page when the caller names none, and at most. */
  docPage: 100,
  docPageMax: 1_000,
  /** Bytes of documents in one page: below what one reply to an app may have. */
  docPageBytesMax: 3 * 1024 * 1024,
  /** Milliseconds a query works before others get their turn, and in all. */
  docSliceMs: 5,
  docFindMsMax: 5_000,
  /** Documents looked at in one statement, at most: it cannot be interrupted. */
  docWindowMax: 1_024,
  /** Documents whose index entries are written, or removed, in one transaction. */
  docIndexRows: 200,
  /** Changes in one transaction of a caller's making. */
  transactOpsMax: 100,

  /** Bytes of an app's SQL volume (contract: an app's files 500 MB). */
  volumeBytesMax: 500 * 1024 * 1024,

  /** Bytes of live pages in `logs.db`; above it the oldest lines go. */
  logBytesMax: 64 * 1024 * 1024,
  /** Lines in the ring. */
  logRowsMax: 1_000_000,
  /** Characters of one line; the rest is cut and counted. */
  logLineCharsMax: 16 * 1024,
  /** Milliseconds lines are gathered before they are written. */
  logFlushMs: 250,
  /** Lines one app may log between two writes; what is beyond it is dropped and counted. */
  logBurstLinesMax: 2_000,
  /** Characters all apps together may log between two writes. */
  logBurstCharsMax: 16 * 1024 * 1024,
  /** Lines a page when the caller names none, and at most. */
  logPage: 200,
  logPageMax: 10_000,
  /** Lines a search looks at first, and the milliseconds it works before others get their turn. */
  logWindow: 256,
  logSliceMs: 5,
  /** Lines waiting for a slow follower; what is beyond it is dropped and counted. */
  logFollowLinesMax: 5_000,

  /** Recipients of one backup. */
  backupRecipientsMax: 20,
  /** Milliseconds a backup waits for its receiver: until the last byte has gone the WAL grows. */
  backupStallMs: 120_000,

  /** Problems a check names. */
  checkProblemsMax: 100,
} as const;

/** The limits, each as a number that may be another one. */
export type StorageLimits = { readonly [Name in keyof typeof limits]: number };
