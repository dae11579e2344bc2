/**
 * The named limits of the replica. Every queue, buffer, wait and loop of this domain is bounded by
 * one of these; tests make some of them smaller.
 */
export const limits = {
  /** Milliseconds between two looks at the logs' sizes (a stat each, no call to the store). */
  lookMs: 200,
  /**
   * Milliseconds between two shipments of one database, seen at the looks above: every third, also
   * when one of them is a little early. With a look's wait and 200 ms for the request, the replica is
   * a second behind at most; who writes without pause pays five PUTs in three seconds.
   */
  shipEveryMs: 550,
  /** Milliseconds between two looks for new volumes. */
  discoverMs: 1_000,
  /** Bytes of the log in one object before compression: what a shipment holds in memory. */
  segmentBytes: 4 * 1024 * 1024,
  /** Bytes of the log read ahead of what is shipped in one round. */
  scanBytes: 32 * 1024 * 1024,
  /** Bytes of the log after which it is copied into the file and starts anew. */
  sealBytes: 4 * 1024 * 1024,
  /** Milliseconds until a seal that a reader hindered is tried again. */
  sealRetryMs: 3_000,
  /** Milliseconds a seal waits for writers. */
  sealBusyMs: 250,
  /**
   * Bytes a log may grow to while the store is away: the log is the spool. Beyond it the log is
   * copied into the file unshipped, and a new generation begins when the store is back.
   */
  spoolBytes: 256 * 1024 * 1024,
  /** Shipments at a time over all databases (R2 wants no more than two or three). */
  uploadsMax: 3,
  /** Milliseconds between snapshots of a database that changes. */
  snapshotEveryMs: 24 * 3_600_000,
  /** Indexes of the log after which a snapshot is due earlier: bounds a restore. */
  snapshotIndexesMax: 1_024,
  /** Milliseconds any point of which can be restored. */
  retentionMs: 7 * 24 * 3_600_000,
  /** Milliseconds between two clean-ups of one database's replica; each goes with a snapshot. */
  retainEveryMs: 3_600_000,
  /** Milliseconds between two looks for replicas of databases that are gone (a list or two). */
  sweepEveryMs: 24 * 3_600_000,
  /** Milliseconds a lease is good without renewal. */
  leaseMs: 30_000,
  /** Milliseconds a lease is trusted without a look at the store. */
  leaseTrustMs: 10_000,
  /** Milliseconds to wait after a first failure, and at most. */
  backoffMsMin: 500,
  backoffMsMax: 30_000,
  /** Milliseconds one request to the store may take, beside what its bytes take on a slow line. */
  requestMs: 10_000,
  /** Milliseconds a store may take to put the parts of an upload together (S3: several minutes). */
  completeMs: 600_000,
  /** The slowest line that counts as one: 16 KB a second. */
  bytesPerMsMin: 16,
  /** Times a restore makes one request, and milliseconds before its second try (then doubling). */
  restoreTries: 6,
  tryAgainMs: 200,
  /** Bytes of one part of a large upload (S3's least is 5 MiB). */
  partBytes: 8 * 1024 * 1024,
  /** Milliseconds the last shipment may take when the kernel ends; less than `takeoverMs`. */
  flushMs: 10_000,
  /** Times the last shipment is tried within that, and milliseconds between two of them. */
  flushTries: 4,
  flushAgainMs: 300,
  /**
   * The slowest line that counts then: 500 KB a second, so that all of a `segmentBytes` has its time
   * within it, and a common one that stands still is sent again within two seconds.
   */
  flushBytesPerMsMin: 500,
  /** Milliseconds a request of its n-th try may take, n times, beside what its bytes take. */
  flushRequestMs: 1_500,
  /** Milliseconds until a replicator that was told to end, and a job of it, is killed. */
  endMs: 15_000,
  /** Milliseconds a new replicator waits for the one before it to finish. */
  takeoverMs: 15_000,
  /** Milliseconds of lag above which the replica counts as late. */
  lagMsMax: 60_000,
  /** Milliseconds until a replicator that died is started again; one that never worked, and others. */
  restartMs: 1_000,
  restartSoonMs: 10,
  /** Milliseconds between two restores that are tried out, and between two looks for that. */
  drillEveryMs: 24 * 3_600_000,
  drillLookMs: 10 * 60_000,
  /** Databases followed at most. */
  databasesMax: 2_000,
  /** Bytes of a record or lease that is read. */
  recordBytesMax: 4 * 1024 * 1024,
} as const;

/** Results of restores that were tried out, kept. */
export const drillKeepRows = 30;

export type ReplicaLimits = { readonly [Name in keyof typeof limits]: number };
