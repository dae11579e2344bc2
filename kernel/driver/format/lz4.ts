/**
 * LZ4 frames (lz4_Frame_format.md 1.6.4, lz4_Block_format.md), as far as Litestream v0.3 writes and
 * reads them: written are independent blocks of at most 4 MiB with a content checksum; read is every
 * frame without a dictionary. Own code, because the packages on npm are native add-ons (they do
 * not go into one binary) or unkept.
 *
 * Rules: nothing is trusted: every length is checked before it is used, and a frame that does not
 * end with its own checksum is refused with EBADMSG. Memory is one block, whatever the frame.
 */
import { SysError } from "../../errno.ts";

/** Magic number, then: version 1, independent blocks, content checksum; blocks of 4 MiB. */
const header = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x64, 0x70, 0xb9);
const magic = 0x184d2204;
/** Bytes of one block before compression. */
const blockBytes = 4 * 1024 * 1024;
/** How far back a match may lie, and how short it may be. */
const windowBytes = 65_535;
const matchMin = 4;
/** The last match begins this far before the end, and the last literals are at least five. */
const tailBytes = 12;
const lastLiterals = 5;
const hashBits = 15;
const storedBit = 0x8000_0000;

const damaged = (why: string): SysError => new SysError("EBADMSG", `cannot read LZ4 frame: ${why}`);

const [p1, p2, p3, p4, p5] = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1] as const;
const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

/** XXH32 with seed 0, fed piece by piece (xxhash_spec.md). */
export class XxHash32 {
  readonly #rest = new Uint8Array(16);
  #a = (p1 + p2) | 0;
  #b = p2 | 0;
  #c = 0;
  #d = -p1 | 0;
  #restBytes = 0;
  #total = 0;

  update(bytes: Uint8Array): void {
    this.#total += bytes.length;
    let at = 0;
    if (this.#restBytes > 0) {
      at = Math.min(16 - this.#restBytes, bytes.length);
      this.#rest.set(bytes.subarray(0, at), this.#restBytes);
      this.#restBytes += at;
      if (this.#restBytes < 16) return;
      this.#stripes(this.#rest, 0, 16);
      this.#restBytes = 0;
    }
    const end = at + ((bytes.length - at) & ~15);
    this.#stripes(bytes, at, end);
    this.#rest.set(bytes.subarray(end));
    this.#restBytes = bytes.length - end;
  }

  #stripes(bytes: Uint8Array, from: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let [a, b, c, d] = [this.#a, this.#b, this.#c, this.#d];
    for (let i = from; i < end; i += 16) {
      a = Math.imul(rotate((a + Math.imul(view.getInt32(i, true), p2)) | 0, 13), p1);
      b = Math.imul(rotate((b + Math.imul(view.getInt32(i + 4, true), p2)) | 0, 13), p1);
      c = Math.imul(rotate((c + Math.imul(view.getInt32(i + 8, true), p2)) | 0, 13), p1);
      d = Math.imul(rotate((d + Math.imul(view.getInt32(i + 12, true), p2)) | 0, 13), p1);
    }
    [this.#a, this.#b, this.#c, this.#d] = [a, b, c, d];
  }

  /** The hash of everything so far, unsigned. */
  digest(): number {
    const sum = rotate(this.#a, 1) + rotate(this.#b, 7) + rotate(this.#c, 12) + rotate(this.#d, 18);
    let h = ((this.#total >= 16 ? sum : p5) + this.#total) | 0;
    const view = new DataView(this.#rest.buffer);
    let i = 0;
    for (; i + 4 <= this.#restBytes; i += 4) {
      h = Math.imul(rotate((h + Math.imul(view.getInt32(i, true), p3)) | 0, 17), p4);
    }
    for (; i < this.#restBytes; i++) {
      h = Math.imul(rotate((h + Math.imul(view.getUint8(i), p5)) | 0, 11), p1);
    }
    h = Math.imul(h ^ (h >>> 15), p2);
    h = Math.imul(h ^ (h >>> 13), p3);
    return (h ^ (h >>> 16)) >>> 0;
  }
}

/** Where a block is written; a length that does not fit means: store it as it is. */
interface Sink {
  readonly bytes: Uint8Array;
  at: number;
}

function putLength(sink: Sink, rest: number): void {
  let left = rest;
  for (; left >= 255; left -= 255) sink.bytes[sink.at++] = 255;
  sink.bytes[sink.at++] = left;
}

/** One sequence: literals, then a match (none when `length` is 0). False when it does not fit. */
function putSequence(
  sink: Sink,
  literals: Uint8Array,
  match: { readonly length: number; readonly offset: number },
): boolean {
  const need = literals.length + 8 + literals.length / 255 + match.length / 255;
  if (sink.at + need > sink.bytes.length) return false;
  const more = match.length === 0 ? 0 : match.length - matchMin;
  sink.bytes[sink.at++] = (Math.min(literals.length, 15) << 4) | Math.min(more, 15);
  if (literals.length >= 15) putLength(sink, literals.length - 15);
  sink.bytes.set(literals, sink.at);
  sink.at += literals.length;
  if (match.length === 0) return true;
  sink.bytes[sink.at++] = match.offset & 255;
  sink.bytes[sink.at++] = match.offset >>> 8;
  if (more >= 15) putLength(sink, more - 15);
  return true;
}

/** Compresses one block, or answers null when it would not get smaller. */
function compressBlock(source: Uint8Array): Uint8Array | null {
  const sink: Sink = { bytes: new Uint8Array(source.length), at: 0 };
  const table = new Int32Array(1 << hashBits).fill(-1);
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const searchEnd = source.length - tailBytes;
  const matchEnd = source.length - lastLiterals;
  let anchor = 0;
  let at = 0;
  while (at < searchEnd) {
    const word = view.getInt32(at, true);
    const slot = Math.imul(word, p1) >>> (32 - hashBits);
    const from = table[slot] ?? -1;
    table[slot] = at;
    if (from < 0 || at - from > windowBytes || view.getInt32(from, true) !== word) {
      // The longer nothing matches, the larger the steps: what is random passes quickly.
      at += 1 + ((at - anchor) >> 6);
      continue;
    }
    let length = matchMin;
    while (at + length < matchEnd && source[from + length] === source[at + length]) length++;
    const match = { length, offset: at - from };
    if (!putSequence(sink, source.subarray(anchor, at), match)) return null;
    at += length;
    anchor = at;
  }
  const whole = putSequence(sink, source.subarray(anchor), { length: 0, offset: 0 });
  return whole && sink.at < source.length ? sink.bytes.subarray(0, sink.at) : null;
}

/** Reads the rest of a length: `at` moves on. */
function takeLength(source: Uint8Array, start: number, at: { i: number }): number {
  let length = start;
  if (start < 15) return length;
  for (;;) {
    const byte = source[at.i++];
    if (byte === undefined) throw damaged("a length ends too soon");
    length += byte;
    if (byte < 255) return length;
  }
}

/**
 * Decompresses one block into `target` from `base` on and answers where it ended. Matches may reach
 * back before `base` (blocks that depend on each other).
 */
function decompressBlock(source: Uint8Array, target: Uint8Array, base: number): number {
  const at = { i: 0 };
  let out = base;
  while (at.i < source.length) {
    const token = source[at.i++] ?? 0;
    const literals = takeLength(source, token >>> 4, at);
    if (at.i + literals > source.length || out + literals > target.length) {
      throw damaged("literals reach beyond their block");
    }
    target.set(source.subarray(at.i, at.i + literals), out);
    at.i += literals;
    out += literals;
    if (at.i >= source.length) break;
    const offset = (source[at.i] ?? 0) | ((source[at.i + 1] ?? 0) << 8);
    at.i += 2;
    const length = takeLength(source, token & 15, at) + matchMin;
    if (offset === 0 || offset > out) throw damaged("a match reaches before the start");
    if (out + length > target.length) throw damaged("a match reaches beyond its block");
    copyMatch(target, out, { offset, length });
    out += length;
  }
  return out;
}

function copyMatch(
  target: Uint8Array,
  out: number,
  { offset, length }: { readonly offset: number; readonly length: number },
): void {
  if (offset >= length) {
    target.copyWithin(out, out - offset, out - offset + length);
    return;
  }
  // A match that overlaps itself repeats its bytes: one at a time, in order.
  for (let i = 0; i < length; i++) target[out + i] = target[out - offset + i] ?? 0;
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** A frame of everything that is fed, as its pieces: at most one block is held. */
export async function* compressFrame(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = new XxHash32();
  yield header;
  for await (const piece of pieces) {
    hash.update(piece);
    for (let at = 0; at < piece.length; at += blockBytes) {
      const raw = piece.subarray(at, at + blockBytes);
      const packed = compressBlock(raw);
      yield uint32(packed === null ? (raw.length | storedBit) >>> 0 : packed.length);
      yield packed ?? raw;
    }
  }
  yield uint32(0);
  yield uint32(hash.digest());
}

/** A whole frame of few bytes. */
export async function compress(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(Buffer.concat(await Array.fromAsync(compressFrame([bytes]))));
}

/** Takes exactly `n` bytes at a time off pieces of any size. */
class Taker {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next `n` bytes. EBADMSG when there are fewer. */
  async take(n: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let missing = n;
    while (missing > 0) {
      if (this.#held.length === 0) {
        const next = await this.#source.next();
        if (next.done) throw damaged("it ends too soon");
        this.#held = next.value;
        continue;
      }
      const part = this.#held.subarray(0, missing);
      parts.push(part);
      this.#held = this.#held.subarray(part.length);
      missing -= part.length;
    }
    return joined(parts, n);
  }

  /** Whether nothing comes any more. */
  async ended(): Promise<boolean> {
    while (this.#held.length === 0) {
      const next = await this.#source.next();
      if (next.done) return true;
      this.#held = next.value;
    }
    return false;
  }

  async cancel(): Promise<void> {
    await this.#source.return?.();
  }
}

/** Parts as one, copied once. */
function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

interface FrameHeader {
  readonly blockMax: number;
  readonly linked: boolean;
  readonly blockChecksum: boolean;
  readonly contentChecksum: boolean;
}

const word = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);

async function readHeader(taker: Taker): Promise<FrameHeader> {
  if (word(await taker.take(4)) !== magic) throw damaged("it does not begin as one");
  const fixed = await taker.take(2);
  const [flags = 0, sizes = 0] = fixed;
  const blockMax = { 4: 65_536, 5: 262_144, 6: 1_048_576, 7: 4_194_304 }[(sizes >>> 4) & 7];
  if (flags >>> 6 !== 1 || blockMax === undefined) throw damaged("of an unknown version");
  if ((flags & 1) !== 0) throw damaged("it needs a dictionary");
  const size = (flags & 8) !== 0 ? await taker.take(8) : new Uint8Array(0);
  const [check = 0] = await taker.take(1);
  const descriptor = Buffer.concat([fixed, size]);
  if (((Bun.hash.xxHash32(descriptor) >>> 8) & 255) !== check) throw damaged("its header is wrong");
  return {
    blockMax,
    linked: (flags & 32) === 0,
    blockChecksum: (flags & 16) !== 0,
    contentChecksum: (flags & 4) !== 0,
  };
}

/**
 * What a frame holds, block by block. EBADMSG for anything but one whole frame. `hashed`: whoever
 * reads compares a better hash of the content, and its checksum here is passed over.
 */
export async function* decompressFrame(
  pieces: AsyncIterable<Uint8Array>,
  { hashed = false } = {},
): AsyncGenerator<Uint8Array> {
  const taker = new Taker(pieces);
  try {
    const frame = await readHeader(taker);
    const hash = new XxHash32();
    let past: Uint8Array = new Uint8Array(0);
    for (;;) {
      const length = word(await taker.take(4));
      if (length === 0) break;
      const raw = await readBlock(taker, frame, { length, past });
      if (!hashed) hash.update(raw);
      if (frame.linked) past = lastWindow(past, raw);
      yield raw;
    }
    const checksum = frame.contentChecksum ? word(await taker.take(4)) : null;
    if (!hashed && checksum !== null && checksum !== hash.digest()) {
      throw damaged("its content is not what its checksum says");
    }
    if (!(await taker.ended())) throw damaged("something follows it");
  } finally {
    await taker.cancel();
  }
}

function lastWindow(past: Uint8Array, raw: Uint8Array): Uint8Array {
  const both = raw.length >= windowBytes ? raw : Buffer.concat([past, raw]);
  return both.slice(-windowBytes);
}

async function readBlock(
  taker: Taker,
  frame: FrameHeader,
  { length, past }: { readonly length: number; readonly past: Uint8Array },
): Promise<Uint8Array> {
  const stored = (length & storedBit) !== 0;
  const packedBytes = length & ~storedBit;
  if (packedBytes > frame.blockMax) throw damaged("a block is larger than its frame allows");
  const packed = await taker.take(packedBytes);
  if (frame.blockChecksum && word(await taker.take(4)) !== Bun.hash.xxHash32(packed)) {
    throw damaged("a block is not what its checksum says");
  }
  if (stored) return packed;
  const target = new Uint8Array(past.length + frame.blockMax);
  target.set(past);
  return target.slice(past.length, decompressBlock(packed, target, past.length));
}
