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
import { unreadBytesMax, windowBytes } from "./limits.ts";
import { flagEnd, frame, type Transport, Wire, WireViolation } from "./wire.ts";

/** What a message piece costs of the window beside its bytes, so that empty ones cost too. */
export const messageCost = 16;

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
  /** A frame of stream 0: `hello` with its JSON, or one of the others with "". */
  control(type: number, text: string): void;
  /** Has the other side send on, by so many bytes, when that is its turn; at once without it. */
  readonly turn?: (bytes: number, go: () => void) => void;
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

  ping(): void {
    this.wire.empty(frame.ping, 0);
  }

  pong(): void {
    this.wire.empty(frame.pong, 0);
  }

  /** Bytes from the socket. A violation is reported, never thrown. */
  feed(chunk: Buffer): void {
    try {
      this.wire.feed(chunk);
      // Each frame may be answered: an app that only ever asks would fill the kernel's memory.
      if (this.#options.side === "kernel" && this.wire.backlogBytes > unreadBytesMax) {
        throw new WireViolation("it asks and does not read the answers");
      }
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

  /** Runs this when so many bytes may come. */
  turn(bytes: number, go: () => void): void {
    if (this.#options.turn === undefined) go();
    else this.#options.turn(bytes, go);
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
    const room = this.#unread;
    this.#unread = 0;
    this.#link.turn(room, () => this.#credit(room));
  }

  #credit(bytes: number): void {
    if (this.#over || this.#remoteDone) return;
    this.#link.wire.number(frame.credit, this.id, bytes);
    this.#receiveLeft += bytes;
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
