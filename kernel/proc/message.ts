/**
 * WebSocket messages on a stream: cut to pieces of at most `pieceBytesMax`, put together again, in
 * order and with their kind; the closing of a session is the last message of each half.
 */
import { messageBytesMax, pieceBytesMax } from "./limits.ts";
import { messageCost, type Stream } from "./stream.ts";
import { WireViolation } from "./wire.ts";

/** Message tags: text rather than binary, the last piece, and "the session closes". */
export const tag = { text: 1, last: 2, close: 4 } as const;

/** Puts pieces together to messages of at most `messageBytesMax`. */
export class Assembly {
  #pieces: Buffer[] = [];
  #size = 0;

  /** The whole message when this piece was its last. Throws WireViolation when it is too large. */
  add(flags: number, bytes: Buffer): { text: boolean; bytes: Buffer } | null {
    this.#size += bytes.length;
    if (this.#size > messageBytesMax) throw new WireViolation("a message over its limit");
    this.#pieces.push(bytes);
    if ((flags & tag.last) === 0) return null;
    const whole = this.#pieces.length === 1 ? bytes : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#size = 0;
    return { text: (flags & tag.text) !== 0, bytes: whole };
  }
}

/** Messages on their way out, in order, as the other side has room. */
export class Outbox {
  readonly #stream: Stream;
  readonly #queue: { flags: number; bytes: Uint8Array; at: number }[] = [];
  #running = false;
  #closing = false;
  #bytes = 0;
  /** Called when the queue has become empty after `send` answered false. */
  onDrained: (() => void) | null = null;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  get backlogBytes(): number {
    return this.#bytes;
  }

  /** Queues a message; false when it has to wait for the reader. */
  send(data: string | Uint8Array): boolean {
    const text = typeof data === "string";
    const bytes = text ? new TextEncoder().encode(data) : data;
    return this.#push(tag.last | (text ? tag.text : 0), bytes);
  }

  /** Says that the session closes, after what is queued, and ends this half. */
  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#push(tag.last | tag.close, new TextEncoder().encode(`${code} ${reason}`));
    this.#closing = true;
    if (!this.#running) this.#stream.end();
  }

  #push(flags: number, bytes: Uint8Array): boolean {
    if (this.#closing || this.#stream.over) return true;
    this.#queue.push({ flags, bytes, at: 0 });
    this.#bytes += bytes.length;
    if (!this.#running) this.#drain();
    return !this.#running;
  }

  /** Sends what there is room for; goes on by itself when there is more. */
  #drain(): void {
    this.#running = true;
    for (;;) {
      const next = this.#queue[0];
      if (next === undefined || this.#stream.over) break;
      const left = next.bytes.length - next.at;
      const room = this.#stream.sendable() - messageCost;
      if (room < Math.min(left, 1024)) {
        void this.#stream.room().then(() => this.#drain());
        return;
      }
      const size = Math.min(room, pieceBytesMax, left);
      const last = size === left;
      const flags = last ? next.flags : next.flags & ~tag.last;
      this.#stream.message(flags, next.bytes.slice(next.at, next.at + size));
      next.at += size;
      this.#bytes -= size;
      if (last) this.#queue.shift();
    }
    this.#running = false;
    this.#queue.length = 0;
    this.#bytes = 0;
    if (this.#closing) this.#stream.end();
    else this.onDrained?.();
  }
}

/** The code and reason of a close message. */
export function readClose(bytes: Buffer): { code: number; reason: string } {
  const text = bytes.toString("utf8");
  const space = text.indexOf(" ");
  return { code: Number(text.slice(0, space)) || 1005, reason: text.slice(space + 1) };
}
