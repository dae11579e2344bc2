/**
 * What streams carry. Bodies: `pour` sends one as fast as the other side reads, `Intake` is one
 * that arrives, as a ReadableStream that gives credit as it is read. WebSocket messages: `Outbox`
 * cuts them to pieces, `Assembly` puts them together, in order and with their kind.
 *
 * Rules: at most one window of an unread body is in memory; a body whose reader goes is cancelled;
 * a body that will not come whole ends with an error, never as if it were complete.
 */
import { messageBytesMax, pieceBytesMax } from "./limits.ts";
import { messageCost, type Stream } from "./stream.ts";
import { WireViolation } from "./wire.ts";

/** Sends a body to its end, as fast as the other side reads. The body is cancelled when it stops. */
export async function pour(stream: Stream, body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader();
  stream.onStop = () => {
    // Why cancelling failed is the body's own affair: nobody reads it any more.
    reader.cancel("the reader has gone").catch(() => {});
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (stream.over) return;
      if (done) return stream.end();
      await send(stream, typeof value === "string" ? new TextEncoder().encode(value) : value);
    }
  } catch (error) {
    stream.reset(error instanceof Error ? error.message : String(error));
  } finally {
    stream.onStop = null;
  }
}

async function send(stream: Stream, bytes: Uint8Array): Promise<void> {
  let at = 0;
  while (at < bytes.length && !stream.over) {
    const size = Math.min(stream.sendable(), pieceBytesMax, bytes.length - at);
    if (size === 0) {
      await stream.room();
      continue;
    }
    stream.data(bytes.subarray(at, at + size));
    at += size;
  }
}

/** Bytes that arrived and wait for their reader: at most one window. */
export class Intake {
  readonly #stream: Stream;
  readonly #queue: Uint8Array[] = [];
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #hungry = false;
  #ended = false;
  #error: Error | null = null;
  /** Called when the reader cancels before the end. */
  onCancel: (() => void) | null = null;

  constructor(stream: Stream, first: Uint8Array, ended: boolean) {
    this.#stream = stream;
    this.#ended = ended;
    if (first.length > 0) this.#queue.push(first);
  }

  push(bytes: Uint8Array): void {
    if (this.#hungry && this.#controller !== null) {
      this.#hungry = false;
      this.#controller.enqueue(bytes);
      this.#stream.consumed(bytes.length);
    } else {
      this.#queue.push(bytes);
    }
  }

  end(): void {
    this.#ended = true;
    if (this.#hungry) this.#settle();
  }

  /** The rest will not come; the reader gets this error at once. */
  fail(error: Error): void {
    if (this.#ended) return;
    this.#error = error;
    this.#queue.length = 0;
    this.#controller?.error(error);
  }

  readable(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          if (this.#error !== null) controller.error(this.#error);
          else if (this.#ended && this.#queue.length === 0) controller.close();
        },
        pull: () => this.#settle(),
        cancel: () => {
          this.#queue.length = 0;
          this.#ended = true;
          this.onCancel?.();
        },
      },
      { highWaterMark: 0 },
    );
  }

  #settle(): void {
    const bytes = this.#queue.shift();
    if (bytes !== undefined) {
      this.#controller?.enqueue(bytes);
      this.#stream.consumed(bytes.length);
      if (this.#queue.length > 0 || !this.#ended) return;
    }
    if (this.#ended) this.#controller?.close();
    else this.#hungry = true;
  }
}

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
