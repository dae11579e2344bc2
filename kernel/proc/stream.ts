/**
 * Streams: many conversations over one Wire, each with flow control in both directions.
 *
 * Rules
 * 1. The kernel opens odd ids, an app even ones; a stream is over when both halves have ended or
 *    either side reset it. Frames of a stream that is over are ignored.
 * 2. A sender never has more than `windowBytes` under way; the reader gives credit as it consumes.
 *    Sending beyond it is a violation and ends the connection, and that connection only.
 * 3. A listener hears `head` at most once, then `data` and `message`, then exactly one of `end`
 *    and `reset`; nothing after the stream is over.
 */
import { messageBytesMax, pieceBytesMax, windowBytes } from "./limits.ts";
import { flagEnd, frame, type Transport, Wire, WireViolation } from "./wire.ts";

/** What a message piece costs of the window beside its bytes, so that empty ones cost too. */
const messageCost = 16;

/** What the first frame of a half-stream carries. */
export interface Opening {
  /** Which sort of stream or answer: see `kind` in head.ts. */
  readonly kind: number;
  readonly head: string;
  /** As much of the body as is there already; at most `pieceBytesMax`. */
  readonly body: Uint8Array | string | null;
  /** Whether that is all of it. */
  readonly end: boolean;
}

/** An `Opening` as it arrives. */
export interface Opened {
  readonly kind: number;
  readonly head: string;
  readonly body: Buffer;
  readonly end: boolean;
}

/** Hears what the other side says on one stream. */
export interface Listener {
  head(opened: Opened): void;
  data(bytes: Buffer): void;
  message(tag: number, bytes: Buffer): void;
  end(): void;
  /** The other side gave the stream up, or the connection was lost. */
  reset(reason: string): void;
}

export interface LinkOptions {
  readonly side: "kernel" | "app";
  readonly transport: Transport;
  /** How many streams the other side may have open. */
  readonly acceptMax: number;
  /** The other side opened a stream: answers who listens to it. */
  accept(stream: Stream, opened: Opened): Listener;
  /** A frame of stream 0: `hello` with its JSON, or `bye` with "". */
  control(type: number, text: string): void;
  /** The other side broke the protocol; the owner closes the socket. */
  violated(reason: string): void;
}

/** One connection's streams. */
export class Link {
  readonly #options: LinkOptions;
  readonly #streams = new Map<number, Stream>();
  readonly wire: Wire;
  #nextId: number;
  #accepted = 0;
  #closed = false;
  #thirsty: Stream[] = [];

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#nextId = options.side === "kernel" ? 1 : 2;
    this.wire = new Wire({
      transport: options.transport,
      onFrame: (type, id, payload) => this.#onFrame(type, id, payload),
      onDrain: () => this.#quench(),
    });
  }

  /** Streams open now, whoever opened them. */
  get size(): number {
    return this.#streams.size;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Begins a stream; `listener` hears the answer. */
  open(opening: Opening, listener: Listener): Stream {
    const stream = new Stream(this, this.#freeId(), listener);
    if (this.#closed) {
      queueMicrotask(() => listener.reset("connection lost"));
      stream.lost();
      return stream;
    }
    this.#streams.set(stream.id, stream);
    stream.begin(frame.open, opening);
    return stream;
  }

  /** Sends JSON on stream 0. */
  hello(value: unknown): void {
    this.wire.bytes(frame.hello, 0, new TextEncoder().encode(JSON.stringify(value)));
  }

  bye(): void {
    this.wire.empty(frame.bye, 0);
  }

  /** Bytes from the socket. A violation is reported, never thrown. */
  feed(chunk: Buffer): void {
    try {
      this.wire.feed(chunk);
    } catch (error) {
      if (!(error instanceof WireViolation)) throw error;
      this.#options.violated(error.message);
    }
  }

  /** Ends every stream with this reason. Idempotent. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.wire.close();
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) {
      stream.lost();
      stream.listener.reset(reason);
    }
  }

  /** Called by a stream that is over. */
  forget(stream: Stream): void {
    if (this.#streams.delete(stream.id) && this.#foreign(stream.id)) this.#accepted--;
  }

  /** Remembers a stream that waits for the socket to drain. */
  thirst(stream: Stream): void {
    this.#thirsty.push(stream);
  }

  #quench(): void {
    const waiting = this.#thirsty;
    this.#thirsty = [];
    for (const stream of waiting) stream.wake();
  }

  #foreign(id: number): boolean {
    return (id & 1) === (this.#options.side === "kernel" ? 0 : 1);
  }

  #freeId(): number {
    let id = this.#nextId;
    while (id === 0 || this.#streams.has(id)) id = (id + 2) >>> 0;
    this.#nextId = (id + 2) >>> 0;
    return id;
  }

  #onFrame(type: number, id: number, payload: Buffer): void {
    if (type === frame.open) {
      this.#onOpen(id, payload);
      return;
    }
    if (id === 0) {
      this.#options.control(type, payload.toString("utf8"));
      return;
    }
    this.#streams.get(id)?.receive(type, payload);
  }

  #onOpen(id: number, payload: Buffer): void {
    if (id === 0 || !this.#foreign(id) || this.#streams.has(id)) {
      throw new WireViolation(`stream ${id} cannot be opened`);
    }
    const opened = readOpening(payload);
    const stream = new Stream(this, id, deaf);
    if (this.#accepted >= this.#options.acceptMax) {
      this.wire.bytes(frame.reset, id, new TextEncoder().encode("EAGAIN"));
      return;
    }
    this.#accepted++;
    this.#streams.set(id, stream);
    stream.take(opened.body.length);
    if (opened.end) stream.remoteEnded();
    stream.listener = this.#options.accept(stream, opened);
  }
}

/** One conversation: a half in each direction. */
export class Stream {
  readonly id: number;
  listener: Listener;
  /** Called once when the stream is over, however it came to that. */
  onStop: (() => void) | null = null;
  readonly #link: Link;
  #sendLeft = windowBytes;
  #receiveLeft = windowBytes;
  #unread = 0;
  #localDone = false;
  #remoteDone = false;
  #answered = false;
  #over = false;
  #waiting: (() => void) | null = null;

  constructor(link: Link, id: number, listener: Listener) {
    this.#link = link;
    this.id = id;
    this.listener = listener;
  }

  /** Whether nothing more will be sent or heard. */
  get over(): boolean {
    return this.#over;
  }

  /** Sends the first frame of this side's half. */
  begin(type: number, opening: Opening): void {
    const { kind, head, body, end } = opening;
    const parts = { kind, flags: end ? flagEnd : 0, head, body };
    this.#sendLeft -= this.#link.wire.headed(type, this.id, parts);
    if (end) this.#localEnded();
  }

  /** Answers a stream the other side opened. */
  answer(opening: Opening): void {
    if (!this.#over) this.begin(frame.head, opening);
  }

  /** How many bytes may be sent now: 0 means wait for `room`. */
  sendable(): number {
    if (this.#over) return 0;
    return this.#link.wire.congested ? 0 : Math.max(0, this.#sendLeft);
  }

  /** Resolves when `sendable` may have become more, or the stream is over. */
  room(): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = resolve;
      if (this.#link.wire.congested) this.#link.thirst(this);
    });
  }

  /** Sends a piece of the body, at most `sendable()` and `pieceBytesMax` bytes. */
  data(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#sendLeft -= bytes.length;
    this.#link.wire.bytes(frame.data, this.id, bytes);
  }

  /** Sends a piece of a WebSocket message. */
  message(tag: number, bytes: Uint8Array): void {
    if (this.#over) return;
    this.#sendLeft -= bytes.length + messageCost;
    this.#link.wire.tagged(frame.message, this.id, { tag, bytes });
  }

  /** This side's half is complete. */
  end(): void {
    if (this.#over || this.#localDone) return;
    this.#link.wire.empty(frame.end, this.id);
    this.#localEnded();
  }

  /** Gives the stream up in both directions. The own listener is not told. */
  reset(reason: string): void {
    if (this.#over) return;
    const text = new TextEncoder().encode(reason.slice(0, 1024));
    this.#link.wire.bytes(frame.reset, this.id, text);
    this.#finish();
  }

  /** The reader has used so many bytes: the other side may send as many more. */
  consumed(bytes: number): void {
    if (this.#over || this.#remoteDone) return;
    this.#unread += bytes;
    if (this.#unread < windowBytes / 2) return;
    this.#link.wire.number(frame.credit, this.id, this.#unread);
    this.#receiveLeft += this.#unread;
    this.#unread = 0;
  }

  /** The connection is gone. */
  lost(): void {
    this.#over = true;
    this.#stopped();
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }

  /** Counts arrived bytes against the window. Throws WireViolation. */
  take(bytes: number): void {
    this.#receiveLeft -= bytes;
    if (this.#receiveLeft < 0) throw new WireViolation(`stream ${this.id} exceeds its window`);
  }

  remoteEnded(): void {
    this.#remoteDone = true;
    if (this.#localDone) this.#finish();
  }

  /** One frame of this stream from the other side. */
  receive(type: number, payload: Buffer): void {
    switch (type) {
      case frame.data:
        this.#mustFlow();
        this.take(payload.length);
        this.listener.data(payload);
        return;
      case frame.head:
        this.#onHead(payload);
        return;
      case frame.end:
        this.#mustFlow();
        this.remoteEnded();
        this.listener.end();
        return;
      case frame.credit:
        if (payload.length !== 4) throw new WireViolation("credit without a number");
        this.#sendLeft += payload.readUInt32LE(0);
        this.wake();
        return;
      case frame.message:
        this.#mustFlow();
        this.take(payload.length - 1 + messageCost);
        this.listener.message(payload[0] ?? 0, payload.subarray(1));
        return;
      case frame.reset:
        this.#finish();
        this.listener.reset(payload.toString("utf8"));
        return;
      default:
        throw new WireViolation(`frame of type ${type}`);
    }
  }

  #onHead(payload: Buffer): void {
    if (this.#answered || this.#remoteDone) throw new WireViolation("a second head");
    this.#answered = true;
    const opened = readOpening(payload);
    this.take(opened.body.length);
    if (opened.end) this.remoteEnded();
    this.listener.head(opened);
  }

  #mustFlow(): void {
    if (this.#remoteDone) throw new WireViolation(`stream ${this.id} goes on after its end`);
  }

  #localEnded(): void {
    this.#localDone = true;
    if (this.#remoteDone) this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#link.forget(this);
    this.#stopped();
  }

  #stopped(): void {
    const stop = this.onStop;
    this.onStop = null;
    stop?.();
    this.wake();
  }
}

function readOpening(payload: Buffer): Opened {
  if (payload.length < 6) throw new WireViolation("a head that is too short");
  const bodyAt = 6 + payload.readUInt32LE(2);
  if (bodyAt > payload.length) throw new WireViolation("a head longer than its frame");
  return {
    kind: payload[0] ?? 0,
    end: ((payload[1] ?? 0) & flagEnd) !== 0,
    head: payload.toString("utf8", 6, bodyAt),
    body: payload.subarray(bodyAt),
  };
}

const deaf: Listener = { head() {}, data() {}, message() {}, end() {}, reset() {} };

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
