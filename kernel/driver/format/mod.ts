/**
 * format: the bytes of a replica: LZ4 frames, SQLite's log, names and records. A part of driver;
 * pure but for the hash it feeds.
 *
 * Invariants
 * 1. What Litestream v0.3 reads and writes is read and written here byte for byte.
 * 2. Nothing that is read is trusted: what is not exactly right is refused with EBADMSG.
 */
export * from "./layout.ts";
export { compress, compressFrame, decompressFrame } from "./lz4.ts";
export {
  firstPoint,
  frameBytes,
  frameHeaderBytes,
  readFrames,
  readWalHeader,
  type WalHeader,
  type WalPoint,
  walHeaderBytes,
} from "./wal.ts";
