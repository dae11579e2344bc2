/**
 * The named limits of a deploy on the caller's side. They repeat the kernel's so that what it would
 * refuse is refused before a byte is sent; the kernel checks again.
 */
const mb = 1024 * 1024;

export const limits = {
  /** Files of one release. */
  filesMax: 50_000,
  /** One file. */
  fileBytesMax: 100 * mb,
  /** All files of one release. */
  releaseBytesMax: 500 * mb,
  /** Folders within folders: deeper is a mistake. */
  depthMax: 64,
  /** app.json, package.json, .faztignore: written by hand, so never large. */
  settingsBytesMax: mb,
  /** Larger files are hashed and sent as streams and never held whole. */
  wholeBytesMax: 5 * mb,
  /** Hashes asked about in one call. */
  hashesAsked: 20_000,
  /** Small files of one upload, in bytes and in number: one request, a bounded transaction. */
  batchBytes: 16 * mb,
  batchFiles: 5_000,
  /** Lines of a failed build that are shown. */
  buildLinesShown: 20,
} as const;
