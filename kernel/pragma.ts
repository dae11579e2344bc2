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

/** Bytes of a page of a volume that is made here: SQLite's own default. */
const pageBytesDefault = 4096;

/**
 * The file of a volume that nothing was written to: one empty page, in the mode of the log (Database
 * File Format of SQLite, 1.3 and 1.6). Made by hand, because whoever makes it opens no volume.
 */
export function blankVolume(): Uint8Array {
  const page = Buffer.alloc(pageBytesDefault);
  page.write("SQLite format 3\0", 0, "latin1");
  page.writeUInt16BE(pageBytesDefault, 16);
  // Write and read version 2: a log. Fractions of a page for payload: fixed.
  page.set([2, 2, 0, 64, 32, 32], logModeAt);
  page.writeUInt32BE(1, 24); // changes of the file
  page.writeUInt32BE(1, 28); // its pages
  page.writeUInt32BE(4, 44); // format of the schema
  page.writeUInt32BE(1, 56); // UTF-8
  page.writeUInt32BE(1, 92); // the change its size is valid for
  page.writeUInt32BE(3_054_001, 96); // SQLite's version
  page[100] = 13; // an empty leaf of the schema's table
  page.writeUInt16BE(pageBytesDefault, 105);
  return page;
}

/** Where a database's file says how it is written: two bytes, 1 a rollback journal, 2 a log. */
export const logModeAt = 18;

/** Whether files of these sizes are a volume that nothing was written to. */
export function isBlankVolume(fileBytes: number, logBytes: number): boolean {
  return fileBytes <= pageBytesDefault && logBytes === 0;
}
