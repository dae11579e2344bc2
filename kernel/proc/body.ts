/**
 * Bodies on a stream: `pour` sends one as fast as the other side reads, `Intake` is one that
 * arrives, as a ReadableStream that gives credit as it is read.
 *
 * Rules: at most one window of an unread body is in memory; a body whose reader goes is cancelled;
 * a body that will not come whole ends with an error, never as if it were complete.
 */
import { pieceBytesMax } from "./limits.ts";
import type { Stream } from "./stream.ts";

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
