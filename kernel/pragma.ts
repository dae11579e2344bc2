/**
 * How an app's SQL volume is set when it is opened, by the app's process and by the kernel's
 * process beside it: what both must agree on, because they share the file.
 *
 * The quota is SQLite's own limit of pages: at it a write fails with SQLITE_FULL in the one who
 * writes, and nobody else notices.
 */

/** Milliseconds to wait for another process's lock. */
const busyTimeoutMs = 5_000;
/** Pages in the write-ahead log after which a commit copies it into the file. */
const walCheckpointPages = 1_000;
/** Bytes the log's file is cut back to when it is empty. */
const walKeepBytes = 16 * 1024 * 1024;

/** The statements for a connection that may write; `pageBytes` is the file's page size. */
export function volumePragmas(quotaBytes: number, pageBytes: number): string[] {
  return [
    ...readerPragmas(),
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    `PRAGMA wal_autocheckpoint = ${walCheckpointPages}`,
    `PRAGMA journal_size_limit = ${walKeepBytes}`,
    `PRAGMA max_page_count = ${Math.max(1, Math.floor(quotaBytes / pageBytes))}`,
  ];
}

/** The statements for a connection that only reads. */
export function readerPragmas(): string[] {
  return [`PRAGMA busy_timeout = ${busyTimeoutMs}`, "PRAGMA trusted_schema = OFF"];
}
