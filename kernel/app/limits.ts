/**
 * The named limits of apps: the unit in the name, the reason beside it.
 * What the caller's side checks early (`cli/deploy/limits.ts`) is checked with these again.
 */
const mb = 1024 * 1024;
const dayMs = 24 * 60 * 60 * 1000;

export const limits = {
  /** An app's own files below `/data` (contract). */
  dataBytesMax: 500 * mb,
  /** All files of one release: as much as the app may keep itself. */
  releaseBytesMax: 500 * mb,
  /** One file of a release (contract). */
  fileBytesMax: 100 * mb,
  /** Files of one release: more is a mistake such as a deployed package cache. */
  releaseFilesMax: 50_000,
  /** Releases kept to roll back to, beside the current one. */
  releasesKept: 10,
  /** A release nobody switched to stays this long, so that gc never meets a deploy under way. */
  stagedGraceMs: 60 * 60 * 1000,
  /** Data of a removed app (contract: 30 days). */
  removedKeptMs: 30 * dayMs,
  /** Variables of one app: the environment of a process is bounded by the kernel below us. */
  envEntriesMax: 200,
  /** One variable, in bytes: Linux refuses single strings of 128 KB. */
  envValueBytesMax: 64 * 1024,
  /** Releases and compiled sites remembered; what is forgotten is read again. */
  releasesCached: 512,
  /** What a deploy says of itself, in characters. */
  messageCharsMax: 1000,
  /** Pairs or documents of a cartridge written by one transaction. */
  importBatchMax: 100,
  /** A whole cartridge, in bytes: what an app may have of every kind, and as much again. */
  cartridgeBytesMax: 2048 * mb,
  /** Milliseconds the process that reads a cartridge may say nothing: SQLite looks it through first. */
  cartridgeStallMs: 5 * 60 * 1000,
  /** Pairs, documents and files that one merge may bring: it is one transaction, about half a second. */
  mergeItemsMax: 20_000,
  /** Bytes of pairs and documents of one merge: they are in memory while it is made ready. */
  mergeBytesMax: 32 * mb,
  /** A volume that a cartridge brings, in bytes. */
  volumeBytesMax: 1024 * mb,
  /** How long a purge waits for the watchers to let go of the app (its process must end first). */
  letGoMs: 10_000,
} as const;

/** What the machine's owner may change of them: how long things are kept. */
export type Retention = { readonly releasesKept: number; readonly removedKeptMs: number };
