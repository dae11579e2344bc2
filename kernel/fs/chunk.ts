/**
 * Streams of bytes cut to chunks: what stands between a caller's stream and the rows.
 *
 * Rules: never more than one chunk is gathered; reading goes on only when the chunk before was
 * taken; a source that fails fails the reader, and a reader that stops cancels the source.
 */
import { limits } from "./limits.ts";

/** A window of a file: `length` null is to the end. Bytes. */
export interface Window {
  readonly offset: number;
  readonly length: number | null;
}

/** Reads exact amounts from a stream, for framed bodies and for cutting chunks. */
export interface Source {
  /** The next bytes, `max` at most and `max` unless the stream ends; empty at the end. */
  take(max: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Tells the other end that no more is wanted. */
  cancel(): Promise<void>;
}

/** Opens a stream for exact reading. */
export function openSource(stream: ReadableStream<Uint8Array>): Source {
  const reader = stream.getReader();
  let left: Uint8Array = new Uint8Array(0);
  return {
    async take(max) {
      const parts: Uint8Array[] = [];
      let gathered = 0;
      while (gathered < max) {
        if (left.length === 0) {
          const next = await reader.read();
          if (next.done) break;
          left = next.value;
          continue;
        }
        const part = left.subarray(0, max - gathered);
        left = left.subarray(part.length);
        parts.push(part);
        gathered += part.length;
      }
      return concat(parts, gathered);
    },
    async cancel() {
      // The source may have failed already, which is why it is being cancelled.
      await reader.cancel().catch(() => undefined);
    },
  };
}

function concat(parts: readonly Uint8Array[], sizeBytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * The chunks of a file as a stream, one in memory, each read when the one before was taken.
 * `read` gives chunk `i` of the file whole.
 */
export function chunkStream(
  file: { sizeBytes: number; window: Window },
  read: (index: number) => Uint8Array,
): ReadableStream<Uint8Array> {
  const { start, end } = clamp(file.window, file.sizeBytes);
  let at = start;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at < end) {
          const index = Math.floor(at / limits.chunkBytes);
          const base = index * limits.chunkBytes;
          const bytes = read(index).subarray(at - base, Math.min(limits.chunkBytes, end - base));
          at += bytes.length;
          controller.enqueue(bytes);
        }
        if (at >= end) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** A window within a size: `start` inclusive, `end` exclusive. */
export function clamp(window: Window, sizeBytes: number): { start: number; end: number } {
  const start = Math.min(window.offset, sizeBytes);
  const end = window.length === null ? sizeBytes : Math.min(sizeBytes, start + window.length);
  return { start, end };
}

/** A body that is in hand already. */
export function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let sent = bytes.length === 0;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (!sent) controller.enqueue(bytes);
        sent = true;
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}
