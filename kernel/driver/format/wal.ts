/**
 * SQLite's write-ahead log, read as bytes (sqlite.org/walformat.html). Pure.
 *
 * Format: a header of 32 bytes, then frames of 24 bytes and a page. A frame is good when it has the
 * header's salts and the running checksum over everything before it; a frame with a database size
 * ends a transaction. Reading the `-wal` file while others write it is safe; what is half written
 * fails its checksum and counts as not there yet.
 */

export const walHeaderBytes = 32;
export const frameHeaderBytes = 24;

export interface WalHeader {
  readonly pageBytes: number;
  /** Restarts as the connection that wrote the header counts them: others may count otherwise. */
  readonly sequence: number;
  /** Grows by one at each restart of the log; `salt2` is drawn anew. */
  readonly salt1: number;
  readonly salt2: number;
  /** Whether checksums are over big-endian words. */
  readonly bigEndian: boolean;
  readonly check1: number;
  readonly check2: number;
}

/** A frame boundary and the running checksum there. */
export interface WalPoint {
  readonly offset: number;
  readonly check1: number;
  readonly check2: number;
}

interface Sum {
  a: number;
  b: number;
}

/** Adds an even number of 32-bit words to the running checksum. */
function addWords(sum: Sum, view: DataView, at: { from: number; to: number; little: boolean }) {
  let { a, b } = sum;
  for (let i = at.from; i < at.to; i += 8) {
    a = (a + view.getInt32(i, at.little) + b) | 0;
    b = (b + view.getInt32(i + 4, at.little) + a) | 0;
  }
  sum.a = a;
  sum.b = b;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The header of a log, or null when these bytes do not begin one. */
export function readWalHeader(bytes: Uint8Array): WalHeader | null {
  if (bytes.length < walHeaderBytes) return null;
  const view = viewOf(bytes);
  const magic = view.getUint32(0);
  if (magic !== 0x377f0682 && magic !== 0x377f0683) return null;
  const bigEndian = magic === 0x377f0683;
  const sum: Sum = { a: 0, b: 0 };
  addWords(sum, view, { from: 0, to: 24, little: !bigEndian });
  const [check1, check2] = [view.getUint32(24), view.getUint32(28)];
  if (sum.a >>> 0 !== check1 || sum.b >>> 0 !== check2) return null;
  const pageBytes = view.getUint32(8);
  if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0) return null;
  return {
    pageBytes,
    sequence: view.getUint32(12),
    salt1: view.getUint32(16),
    salt2: view.getUint32(20),
    bigEndian,
    check1,
    check2,
  };
}

/** Where the frames of a log begin. */
export function firstPoint({ check1, check2 }: WalHeader): WalPoint {
  return { offset: walHeaderBytes, check1, check2 };
}

export const frameBytes = ({ pageBytes }: WalHeader): number => frameHeaderBytes + pageBytes;

/**
 * The good frames at the beginning of `bytes`, which stand at `from` in the log: calls `each` with
 * the point behind every frame and whether it ends a transaction, until a frame is not good.
 */
export function readFrames(
  header: WalHeader,
  bytes: Uint8Array,
  { from, each }: { from: WalPoint; each(point: WalPoint, commit: boolean): void },
): void {
  const size = frameBytes(header);
  const view = viewOf(bytes);
  const little = !header.bigEndian;
  const sum: Sum = { a: from.check1 | 0, b: from.check2 | 0 };
  for (let at = 0; at + size <= bytes.length; at += size) {
    const salted =
      view.getUint32(at + 8) === header.salt1 && view.getUint32(at + 12) === header.salt2;
    if (!salted || view.getUint32(at) === 0) return;
    addWords(sum, view, { from: at, to: at + 8, little });
    addWords(sum, view, { from: at + frameHeaderBytes, to: at + size, little });
    const check1 = view.getUint32(at + 16);
    const check2 = view.getUint32(at + 20);
    if (sum.a >>> 0 !== check1 || sum.b >>> 0 !== check2) return;
    each({ offset: from.offset + at + size, check1, check2 }, view.getUint32(at + 4) !== 0);
  }
}
