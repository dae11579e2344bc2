/**
 * Limits of what is mounted of the host; each with its unit and its reason.
 */
const kb = 1024;

/** What one read of the host takes, bytes: what a reader of a file has in memory. */
export const pieceBytes = 256 * kb;

/** The longest the host may take for one operation, ms: a disk that spins up takes 10 s. */
export const answerMsMax = 15_000;

/** Operations waiting for the host: beyond it callers are to come again. */
export const waitingMax = 4096;

/** Names of one directory that are remembered between the pages of a walk. */
export const namesKeptMax = 100_000;

/** Directories below one another that a removal descends: each holds a descriptor. */
export const removalDepthMax = 256;

/** Bytes of a cartridge that is mounted: as much as one that is imported. */
export const cartridgeBytesMax = 2048 * 1024 * kb;

/** Names of one directory of a bucket that are held: a hundred requests to the store. */
export const keysMax = 100_000;

/** Names that one request lists: S3's limit. */
export const keysPerPage = 1_000;

/** How long a listing of a bucket is believed, ms: a walk takes it in pages. */
export const listedMs = 5_000;
