/**
 * The named limits of fs: unit in the name, reason beside it. `/sys/limits` shows them.
 */
const kb = 1024;
const mb = 1024 * kb;

export const limits = {
  /** One row of file content; the most of a file that is in memory for a reader or a writer. */
  chunkBytes: 1 * mb,
  /** What a reader of a stream is given at once: more would wait in memory, less costs throughput. */
  pieceBytes: 256 * kb,
  /**
   * The same at the beginning, and how long that is: who takes nothing at all stands still within
   * it (the system takes some 300 KB by itself), and what waits for it is copied.
   */
  firstPieceBytes: 32 * kb,
  firstBytes: 512 * kb,
  /** A file of at most so many bytes is read at once: a stream would cost more than its bytes. */
  wholeBytes: 65_536,
  /** One file (contract). */
  fileBytesMax: 100 * mb,
  /** All files of one release, and an app's own tree (contract). */
  treeBytesMax: 500 * mb,
  /** The owner's `/home`: the disk mark stops it earlier on a small machine. */
  homeBytesMax: 1024 * 1024 * mb,
  /** Files of one release: more is a mistake such as a deployed package cache. */
  manifestFilesMax: 50_000,
  /** Inodes of one tree, so that a loop in an app cannot fill the index. */
  treeInodesMax: 200_000,
  /** A path, as PATH_MAX of Linux. */
  pathBytesMax: 4096,
  /** One component, as NAME_MAX of Linux. */
  nameBytesMax: 255,
  /** Entries of one listing: some 3 MB of JSON, below what one reply to an app may have. */
  lsEntriesMax: 10_000,
  /** Mounts of the owner: each path of the tree is compared with all of them. */
  mountsMax: 64,
  /** Entries a walk looks at before others have their turn. */
  walkEntries: 1_000,
  /** Blobs of one batch upload. */
  batchBlobsMax: 50_000,
  /** Content gathered before a batch upload writes it: bounds memory and transaction length. */
  batchWriteBytes: 2 * mb,
  /** Rows written by one transaction of a batch upload. */
  batchWriteBlobs: 256,
  /** Hashes one `fs.blob.missing` may ask for. */
  missingHashesMax: 50_000,
  /** A stored blob nothing refers to stays this long, for the deploy that is about to use it. */
  graceMs: 60 * 60 * 1000,
  /**
   * Uploads that follow one another within the grace are one deploy, whose first blobs stay until
   * its last one has come; but no longer than this.
   */
  uploadMsMax: 24 * 60 * 60 * 1000,
  /** A reader that took nothing for so long has gone: net ends what stands still far sooner. */
  streamIdleMs: 10 * 60 * 1000,
  /** Faults of one kind that a check names. */
  checkFaultsMax: 20,
  /** Blobs one transaction of gc looks at: a few milliseconds. */
  gcWindowBlobs: 2000,
  /** Rows one transaction of gc, or of a removal, removes, so that writers are not held up. */
  gcRowsPerWrite: 500,
  /** Content one transaction of gc removes, for the same reason. */
  gcBytesPerWrite: 64 * mb,
  /** Bodies ready in memory, all sites together (contract). */
  cacheBytesMax: 128 * mb,
  /** Larger files are streamed by chunk and never cached. */
  cachedBytesMax: 5 * mb,
  /** Resolved paths one site remembers. */
  sitePagesMax: 2048,
  /** Paths without a file one site remembers, so that an app's routes cost no lookup. */
  siteMissesMax: 1024,
  /** Characters of a path or a field that is remembered: strangers send 16 KB of them at will. */
  siteKeyCharsMax: 512,
  /** Different `Accept-Encoding` values one page remembers its choice for. */
  pageChoicesMax: 16,
  /** Ranges of one request; more are ignored and the whole file is sent. */
  rangesMax: 16,
  /** Smaller files gain nothing from compression. */
  variantBytesMin: 1 * kb,
  /** Larger files take too long for the background of a small machine. */
  variantBytesMax: 5 * mb,
  /** A variant is kept when it is at most this part of its origin. */
  variantRatioMax: 0.9,
  /** Compressions waiting; what does not fit is asked for again by a later request. */
  variantQueueMax: 1024,
} as const;
