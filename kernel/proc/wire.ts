/**
 * Frames over one byte stream: u32 length of what follows, u8 type, u32 stream id, payload; all
 * numbers little-endian. Both ends of the socket between the kernel and an app speak it.
 *
 * Rules
 * 1. A frame over `frameBytesMax` or under 5 bytes is a violation: `feed` throws WireViolation and
 *    the connection is at its end.
 * 2. What is sent within one turn of the event loop leaves in one write; what the socket does not
 *    take stays in order until it drains.
 * 3. Payloads handed to `onFrame` may be kept: the buffer behind them is never used again.
 */
import { backlogBytesMax, frameBytesMax } from "./limits.ts";

/** Frame types. Append-only: kernel and app may be of different versions. */
export const frame = {
  /** Begins a stream: u8 kind, u8 flags, u32 head bytes, head, first bytes of the body. */
  open: 1,
  /** Answers one: u8 kind, u8 flags, u32 head bytes, head, first bytes of the body. */
  head: 2,
  /** Bytes of a body. */
  data: 3,
  /** The sender's half is complete. */
  end: 4,
  /** The stream is over in both directions: a reason in UTF-8. */
  reset: 5,
  /** The reader has room for u32 more bytes. */
  credit: 6,
  /** A piece of a WebSocket message: u8 flags (1 text, 2 last piece), bytes. */
  message: 7,
  /** On stream 0: JSON, once each way: the kernel's instructions, the app's readiness. */
  hello: 8,
  /** On stream 0, to the app: finish and exit. */
  bye: 9,
  /** On stream 0, to the app: say that you are there. */
  ping: 10,
  /** On stream 0, the answer to it. */
  pong: 11,
} as const;

/** In `open` and `head`: the sender's body is complete with this frame. */
export const flagEnd = 1;

/** The other side does not speak the protocol. */
export class WireViolation extends Error {
  override readonly name = "WireViolation";
}

/** Where bytes go: a Bun socket, or anything that takes some and says how many. */
export interface Transport {
  /** How many bytes were taken; fewer than given means "wait for drain"; negative: it is closed. */
  write(bytes: Uint8Array, offset: number, length: number): number;
}

export type OnFrame = (type: number, id: number, payload: Buffer) => void;

const firstCapacity = 65_536;
const keptCapacityMax = 1_048_576;

/** One end of a connection, frames in and out. */
export class Wire {
  readonly #transport: Transport;
  readonly #onFrame: OnFrame;
  /** Called when the backlog has gone after it made `congested` true. */
  readonly #onDrain: () => void;
  #out = Buffer.allocUnsafe(firstCapacity);
  #sent = 0;
  #filled = 0;
  #scheduled = false;
  #blocked = false;
  #wasCongested = false;
  #closed = false;
  /** The beginning of a frame that is not here whole yet. */
  #rest: Buffer | null = null;
  #restFilled = 0;
  #restWanted = 0;
  readonly #flush = () => this.flush();

  constructor(options: { transport: Transport; onFrame: OnFrame; onDrain: () => void }) {
    this.#transport = options.transport;
    this.#onFrame = options.onFrame;
    this.#onDrain = options.onDrain;
  }

  /** Whether bodies should wait: more is queued than the socket takes. */
  get congested(): boolean {
    const congested = this.#filled - this.#sent > backlogBytesMax;
    if (congested) this.#wasCongested = true;
    return congested;
  }

  /** Bytes accepted and not yet written. */
  get backlogBytes(): number {
    return this.#filled - this.#sent;
  }

  /** Sends a frame whose payload is these bytes. */
  bytes(type: number, id: number, payload: Uint8Array): void {
    let at = this.#begin(payload.length, type, id);
    this.#out.set(payload, at);
    at += payload.length;
    this.#commit(at);
  }

  /** Sends a frame without payload. */
  empty(type: number, id: number): void {
    this.#commit(this.#begin(0, type, id));
  }

  /** Sends a frame whose payload is one u32. */
  number(type: number, id: number, value: number): void {
    const at = this.#begin(4, type, id);
    this.#out.writeUInt32LE(value >>> 0, at);
    this.#commit(at + 4);
  }

  /** Sends a frame whose payload is one byte and then bytes. */
  tagged(type: number, id: number, piece: { tag: number; bytes: Uint8Array }): void {
    const at = this.#begin(piece.bytes.length + 1, type, id);
    this.#out[at] = piece.tag;
    this.#out.set(piece.bytes, at + 1);
    this.#commit(at + 1 + piece.bytes.length);
  }

  /**
   * Sends an `open` or `head` frame with as much body as there is. A string body is written as
   * UTF-8. Answers the bytes of the body.
   */
  headed(
    type: number,
    id: number,
    parts: { kind: number; flags: number; head: string; body: Uint8Array | string | null },
  ): number {
    const { head, body } = parts;
    const bodyRoom = body === null ? 0 : typeof body === "string" ? body.length * 3 : body.length;
    const start = this.#filledAfter(15 + head.length * 3 + bodyRoom);
    const out = this.#out;
    let at = start + 15;
    const headBytes = out.write(head, at, "utf8");
    at += headBytes;
    let bodyBytes = 0;
    if (typeof body === "string") bodyBytes = body.length === 0 ? 0 : out.write(body, at, "utf8");
    else if (body !== null) {
      out.set(body, at);
      bodyBytes = body.length;
    }
    at += bodyBytes;
    putHeader(out, start, { length: at - start - 4, type, id });
    out[start + 9] = parts.kind;
    out[start + 10] = parts.flags;
    out.writeUInt32LE(headBytes, start + 11);
    this.#commit(at);
    return bodyBytes;
  }

  /** The room for a frame of this payload, its header written; answers where the payload goes. */
  #begin(payloadBytes: number, type: number, id: number): number {
    const at = this.#filledAfter(9 + payloadBytes);
    putHeader(this.#out, at, { length: 5 + payloadBytes, type, id });
    return at + 9;
  }

  /** Makes room for so many more bytes and answers where they begin. */
  #filledAfter(bytes: number): number {
    if (this.#filled + bytes > this.#out.length) {
      const live = this.#filled - this.#sent;
      const fits = live + bytes <= this.#out.length;
      const size = fits ? this.#out.length : Math.max(this.#out.length * 2, live + bytes);
      const next = fits ? this.#out : Buffer.allocUnsafe(size);
      this.#out.copy(next, 0, this.#sent, this.#filled);
      this.#out = next;
      this.#filled = live;
      this.#sent = 0;
    }
    return this.#filled;
  }

  #commit(end: number): void {
    this.#filled = end;
    if (this.#scheduled || this.#blocked) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  /** Writes what waits, as far as the socket takes it. */
  flush(): void {
    this.#scheduled = false;
    if (this.#blocked || this.#closed || this.#filled === this.#sent) return;
    const taken = this.#transport.write(this.#out, this.#sent, this.#filled - this.#sent);
    if (taken < 0) return;
    this.#sent += taken;
    if (this.#sent < this.#filled) {
      this.#blocked = true;
      return;
    }
    this.#sent = 0;
    this.#filled = 0;
    if (this.#out.length > keptCapacityMax) this.#out = Buffer.allocUnsafe(firstCapacity);
    if (this.#wasCongested) {
      this.#wasCongested = false;
      this.#onDrain();
    }
  }

  /** The socket takes bytes again. */
  drained(): void {
    this.#blocked = false;
    this.flush();
  }

  /** Nothing is written or understood any more. */
  close(): void {
    this.#closed = true;
    this.#rest = null;
    this.#filled = 0;
    this.#sent = 0;
  }

  /** Bytes from the socket. Throws WireViolation, and whatever `onFrame` throws. */
  feed(chunk: Buffer): void {
    let buffer = chunk;
    let end = chunk.length;
    if (this.#rest !== null) {
      this.#gather(chunk);
      if (this.#restFilled < this.#restWanted) return;
      buffer = this.#rest;
      end = this.#restFilled;
      this.#rest = null;
    }
    let at = 0;
    while (end - at >= 4 && !this.#closed) {
      const length = buffer.readUInt32LE(at);
      if (length < 5 || length > frameBytesMax) {
        throw new WireViolation(`frame of ${length} bytes`);
      }
      const next = at + 4 + length;
      if (next > end) break;
      const type = buffer[at + 4] ?? 0;
      const id = buffer.readUInt32LE(at + 5);
      this.#onFrame(type, id, buffer.subarray(at + 9, next));
      at = next;
    }
    if (at < end && !this.#closed) this.#keep(buffer.subarray(at, end));
  }

  #gather(chunk: Buffer): void {
    const rest = this.#rest;
    if (rest === null) return;
    const total = this.#restFilled + chunk.length;
    if (total > rest.length) {
      const larger = Buffer.allocUnsafe(Math.max(total, this.#restWanted));
      rest.copy(larger, 0, 0, this.#restFilled);
      this.#rest = larger;
    }
    this.#rest?.set(chunk, this.#restFilled);
    this.#restFilled = total;
    if (this.#restWanted === 4 && total >= 4) this.#want(this.#rest ?? rest);
  }

  #keep(bytes: Buffer): void {
    this.#restFilled = bytes.length;
    this.#restWanted = 4;
    if (bytes.length >= 4) this.#want(bytes);
    this.#rest = Buffer.allocUnsafe(Math.max(this.#restWanted, bytes.length, 4096));
    this.#rest.set(bytes);
  }

  #want(bytes: Buffer): void {
    const length = bytes.readUInt32LE(0);
    if (length > frameBytesMax) throw new WireViolation(`frame of ${length} bytes`);
    this.#restWanted = 4 + length;
  }
}

function putHeader(
  out: Buffer,
  at: number,
  header: { length: number; type: number; id: number },
): void {
  out.writeUInt32LE(header.length, at);
  out[at + 4] = header.type;
  out.writeUInt32LE(header.id, at + 5);
}
