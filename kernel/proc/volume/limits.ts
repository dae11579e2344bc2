/**
 * The named limits of statements and migrations on apps' volumes. A test may make some of them
 * smaller. The size of a volume itself is storage's (`volumeBytesMax`).
 */
export const limits = {
  /** Characters of one statement that is sent. */
  sqlCharsMax: 100_000,
  /** Values bound to it. */
  paramsMax: 1_000,
  /** Rows of one reply, and their bytes as JSON: it is held in memory whole. */
  rowsMax: 10_000,
  replyBytesMax: 4 * 1024 * 1024,
  /** Milliseconds a statement may take; its process is killed then, and SQLite rolls back. */
  statementMsMax: 10_000,
  /** Milliseconds all migrations of one deploy may take together. */
  migrateMsMax: 120_000,
  /** Migration files of a release, bytes of one, and of all that are sent at once. */
  migrationsMax: 1_000,
  migrationBytesMax: 1024 * 1024,
  migrationsBytesMax: 16 * 1024 * 1024,
  /** Processes beside apps at once; the next is refused with EAGAIN. */
  processesMax: 4,
  /** Milliseconds between two looks at the volumes of apps that run. */
  guardMs: 10_000,
  /** Bytes a volume's directory may have beyond twice its quota, and files in it. */
  guardSlackBytes: 64 * 1024 * 1024,
  guardFilesMax: 1_000,
  /** Bytes of standard error kept to explain a process that failed. */
  errorBytesMax: 16 * 1024,
} as const;

/** The limits, each as a number that may be another one. */
export type VolumeLimits = { readonly [Name in keyof typeof limits]: number };

/** Those that the machine's owner may change. */
export const adjustableNames = [
  "rowsMax",
  "replyBytesMax",
  "statementMsMax",
  "migrateMsMax",
  "processesMax",
] as const satisfies readonly (keyof VolumeLimits)[];
