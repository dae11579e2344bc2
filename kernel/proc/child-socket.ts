/**
 * WebSockets inside an app's process, with the shape of Bun's `ServerWebSocket`, so that code
 * written for Bun's server (Hono's adapter among it) works as it is.
 *
 * Rules: messages keep their kind and order; `send` answers -1 when it has to wait for the client
 * and 0 when the session is over; topics live within one process.
 */

import { Assembly, Outbox, readClose, tag } from "./body.ts";
import { messageBytesMax, socketBacklogBytesMax } from "./limits.ts";
import { messageCost, type Stream } from "./stream.ts";

/** What an app exports as `websocket`. */
export interface SocketHandlers {
  readonly open?: (socket: AppSocket) => unknown;
  readonly message?: (socket: AppSocket, data: string | Buffer) => unknown;
  readonly close?: (socket: AppSocket, code: number, reason: string) => unknown;
  readonly drain?: (socket: AppSocket) => unknown;
}

type Data = string | Uint8Array | ArrayBuffer;

/** Who listens to what. */
export class Topics {
  readonly #subscribers = new Map<string, Set<AppSocket>>();

  subscribe(topic: string, socket: AppSocket): void {
    const sockets = this.#subscribers.get(topic) ?? new Set();
    sockets.add(socket);
    this.#subscribers.set(topic, sockets);
  }

  unsubscribe(topic: string, socket: AppSocket): void {
    const sockets = this.#subscribers.get(topic);
    sockets?.delete(socket);
    if (sockets?.size === 0) this.#subscribers.delete(topic);
  }

  /** Sends to every subscriber but one; answers the bytes of the message, 0 when nobody listens. */
  publish(topic: string, data: Data, except: AppSocket | null): number {
    const sockets = this.#subscribers.get(topic);
    if (sockets === undefined) return 0;
    let sent = 0;
    for (const socket of [...sockets]) if (socket !== except) sent = Math.abs(socket.send(data));
    return sent;
  }
}

/** One accepted WebSocket. */
export class AppSocket {
  /** The app's own, from `upgrade(request, { data })`. */
  data: unknown;
  binaryType: "nodebuffer" | "arraybuffer" | "uint8array" = "nodebuffer";
  readonly remoteAddress: string;
  readonly #stream: Stream;
  readonly #handlers: SocketHandlers;
  readonly #topics: Topics;
  readonly #subscriptions = new Set<string>();
  readonly #outbox: Outbox;
  readonly #assembly = new Assembly();
  #state: 0 | 1 | 2 | 3 = 1;

  constructor(
    stream: Stream,
    given: { handlers: SocketHandlers; topics: Topics; about: { address: string } },
  ) {
    this.#stream = stream;
    this.#handlers = given.handlers;
    this.#topics = given.topics;
    this.remoteAddress = given.about.address;
    this.#outbox = new Outbox(stream);
    this.#outbox.onDrained = () => this.#call(() => this.#handlers.drain?.(this));
  }

  /** 1 open, 2 closing, 3 closed, as in the WebSocket standard. */
  get readyState(): number {
    return this.#state;
  }

  get subscriptions(): string[] {
    return [...this.#subscriptions];
  }

  send(data: Data, _compress?: boolean): number {
    if (this.#state !== 1) return 0;
    const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
    const size = typeof bytes === "string" ? Buffer.byteLength(bytes) : bytes.byteLength;
    if (size > messageBytesMax) throw new RangeError("a WebSocket message is at most 1 MB");
    if (this.#outbox.backlogBytes + size > socketBacklogBytesMax) {
      this.close(1013, "the client reads too slowly");
      return 0;
    }
    // A copy, because the app may use its buffer again before this has left.
    return this.#outbox.send(typeof bytes === "string" ? bytes : bytes.slice()) ? size : -1;
  }

  sendText(data: string, compress?: boolean): number {
    return this.send(data, compress);
  }

  sendBinary(data: Uint8Array | ArrayBuffer, compress?: boolean): number {
    return this.send(data, compress);
  }

  close(code = 1000, reason = ""): void {
    if (this.#state > 1) return;
    this.#state = 2;
    this.#outbox.close(code, reason);
  }

  terminate(): void {
    this.close(1006, "");
  }

  /** Pings are answered where the client's connection ends: in the kernel. */
  ping(): number {
    return 0;
  }

  pong(): number {
    return 0;
  }

  cork<T>(run: (socket: AppSocket) => T): T {
    return run(this);
  }

  getBufferedAmount(): number {
    return this.#outbox.backlogBytes;
  }

  subscribe(topic: string): void {
    this.#subscriptions.add(topic);
    this.#topics.subscribe(topic, this);
  }

  unsubscribe(topic: string): void {
    this.#subscriptions.delete(topic);
    this.#topics.unsubscribe(topic, this);
  }

  isSubscribed(topic: string): boolean {
    return this.#subscriptions.has(topic);
  }

  publish(topic: string, data: Data): number {
    return this.#topics.publish(topic, data, this);
  }

  publishText(topic: string, data: string): number {
    return this.publish(topic, data);
  }

  publishBinary(topic: string, data: Uint8Array | ArrayBuffer): number {
    return this.publish(topic, data);
  }

  /** The reply has left: the app may speak. */
  opened(): void {
    if (this.#state === 1) this.#call(() => this.#handlers.open?.(this));
  }

  /** A piece from the client. */
  message(flags: number, bytes: Buffer): void {
    this.#stream.consumed(bytes.length + messageCost);
    const message = this.#assembly.add(flags, bytes);
    if (message === null) return;
    if ((flags & tag.close) !== 0) {
      const { code, reason } = readClose(message.bytes);
      this.#closed(code, reason);
      return;
    }
    if (this.#state !== 1) return;
    const data = message.text ? message.bytes.toString("utf8") : this.#binary(message.bytes);
    this.#call(() => this.#handlers.message?.(this, data));
  }

  ended(): void {
    this.#closed(1006, "");
  }

  lost(): void {
    this.#closed(1006, "");
  }

  #closed(code: number, reason: string): void {
    if (this.#state === 3) return;
    this.#state = 3;
    for (const topic of this.#subscriptions) this.#topics.unsubscribe(topic, this);
    this.#subscriptions.clear();
    this.#outbox.close(code, "");
    this.#call(() => this.#handlers.close?.(this, code, reason));
  }

  /** Bytes of their own, because handlers look at the `buffer` behind them. */
  #binary(bytes: Buffer): Buffer {
    const own = new Uint8Array(bytes);
    if (this.binaryType === "nodebuffer") return Buffer.from(own.buffer);
    const data: unknown = this.binaryType === "arraybuffer" ? own.buffer : own;
    return data as Buffer;
  }

  #call(run: () => unknown): void {
    try {
      const result = run();
      if (result instanceof Promise) result.catch((error: unknown) => console.error(error));
    } catch (error) {
      console.error(error);
    }
  }
}
