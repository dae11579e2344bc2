/**
 * The kernel's end of one request to an app: its head and body out, the reply's head and body in.
 *
 * Rules: the reply resolves or rejects exactly once; an app that is lost after the head makes the
 * body fail, so that the client sees a broken connection and never a short page; a client that
 * goes resets the stream, and the app's `request.signal` aborts.
 */

import { Assembly, Intake, Outbox, pour, readClose, tag } from "./body.ts";
import { kind, readReply, writeRequest } from "./head.ts";
import { headBytesMax, messageBytesMax, socketBacklogBytesMax } from "./limits.ts";
import type { RequestMeta, SocketPipe } from "./proc.ts";
import { type Link, type Listener, messageCost, type Opened, type Stream } from "./stream.ts";

/** The app did not answer: it broke (502), or took too long (504). */
export class AppFailure extends Error {
  override readonly name = "AppFailure";
  readonly status: 502 | 504;

  constructor(status: 502 | 504, reason: string) {
    super(reason);
    this.status = status;
  }
}

/** Replies seen before: the same head makes the same status and headers. */
export type HeadCache = Map<string, ResponseInit>;

/** The process that an exchange is with. */
export interface ExchangeOwner {
  readonly heads: HeadCache;
  /** The reply's head has come, or will not come. Told once. */
  headCame(exchange: Exchange): void;
  /** Everything is over, the body included. Told once. */
  over(): void;
}

const cachedHeadsMax = 256;
const cachedHeadCharsMax = 1024;

/** One request under way. */
export class Exchange implements Listener {
  readonly startedAt: number;
  readonly #result = Promise.withResolvers<Response>();
  readonly #meta: RequestMeta;
  #stream: Stream | null = null;
  #intake: Intake | null = null;
  #session: Session | null = null;
  #settled = false;
  #signal: AbortSignal | null = null;
  #request: Request | null = null;
  readonly #owner: ExchangeOwner;
  #waitsForHead = true;
  #isOver = false;

  constructor(meta: RequestMeta, owner: ExchangeOwner, startedAt: number) {
    this.#meta = meta;
    this.#owner = owner;
    this.startedAt = startedAt;
  }

  /** Sends the request. Rejects with AppFailure. */
  start(link: Link, request: Request): Promise<Response> {
    const { method } = request;
    this.#request = request;
    const body = method === "GET" || method === "HEAD" ? null : request.body;
    const head = writeRequest(request, this.#meta);
    if (head.length * 3 > headBytesMax && Buffer.byteLength(head) > headBytesMax) {
      this.#over();
      return Promise.resolve(new Response("Request headers too large\n", { status: 431 }));
    }
    const sort = this.#meta.upgrade === null ? kind.request : kind.socket;
    const stream = link.open(
      { kind: sort, head, body: null, end: body === null && sort === kind.request },
      this,
    );
    this.#stream = stream;
    if (body !== null && sort === kind.request) void pour(stream, body);
    return this.#result.promise;
  }

  /**
   * Notices from now on when the client goes. Not done at once, because most replies are there
   * before it could matter and a signal is dear; one that has gone meanwhile is noticed as well.
   */
  follow(): void {
    if (this.#signal !== null || this.#request === null || this.#isOver) return;
    const { signal } = this.#request;
    this.#signal = signal;
    if (signal.aborted) this.#abandon();
    else signal.addEventListener("abort", () => this.#abandon(), { once: true });
  }

  /** The deadline for the head has passed. */
  expire(limitMs: number): void {
    if (this.#settled) return;
    this.#stream?.reset("timed out");
    this.#fail(new AppFailure(504, `no reply within ${limitMs / 1000} s`));
    this.#over();
  }

  /** The client has gone. */
  #abandon(): void {
    this.#stream?.reset("the client has gone");
    this.#fail(new AppFailure(502, "the client has gone"));
    this.#intake?.fail(new Error("the client has gone"));
    this.#over();
  }

  head(opened: Opened): void {
    if (this.#settled) return;
    try {
      const init = this.#init(opened.head);
      if (opened.kind === kind.accepted) this.#accept(init);
      else this.#reply(opened, init);
    } catch (error) {
      this.#stream?.reset("the reply is not understood");
      this.#fail(new AppFailure(502, error instanceof Error ? error.message : String(error)));
      this.#over();
    }
  }

  #init(head: string): ResponseInit {
    const known = this.#owner.heads.get(head);
    if (known !== undefined) return known;
    const { status, headers } = readReply(head);
    const init = { status, headers: new Headers(headers) };
    if (head.length <= cachedHeadCharsMax) {
      if (this.#owner.heads.size >= cachedHeadsMax) this.#owner.heads.clear();
      this.#owner.heads.set(head, init);
    }
    return init;
  }

  #reply(opened: Opened, init: ResponseInit): void {
    const stream = this.#stream;
    let body: Bun.BodyInit | null = null;
    if (opened.end) {
      if (opened.body.length > 0) body = opened.body as Uint8Array<ArrayBuffer>;
    } else if (stream !== null) {
      this.#meta.streams?.();
      const intake = new Intake(stream, opened.body, false);
      intake.onCancel = () => {
        stream.reset("the client has gone");
        this.#over();
      };
      this.#intake = intake;
      body = intake.readable();
      this.follow();
    }
    // Of the cached head each response takes a copy, so that the next one may have its own id.
    (init.headers as Headers).set("x-request-id", this.#meta.id);
    this.#meta.replied?.(opened.end ? opened.body.length : null);
    this.#settle(new Response(body, init));
    if (opened.end) this.#over();
  }

  #accept(init: ResponseInit): void {
    const stream = this.#stream;
    const { upgrade } = this.#meta;
    if (stream === null || upgrade === null) throw new Error("an upgrade nobody asked for");
    const session = new Session(stream, () => this.#over());
    this.#session = session;
    const headers = init.headers as Headers;
    if (!upgrade({ headers, socket: session })) {
      stream.reset("the connection could not be upgraded");
      throw new Error("the connection could not be upgraded");
    }
    this.#settle(new Response(null, { status: 101, headers }));
  }

  data(bytes: Buffer): void {
    this.#intake?.push(bytes);
  }

  message(flags: number, bytes: Buffer): void {
    this.#session?.fromApp(flags, bytes);
  }

  end(): void {
    if (!this.#settled) this.#fail(new AppFailure(502, "the app ended without a reply"));
    this.#intake?.end();
    this.#session?.lost();
    this.#over();
  }

  reset(reason: string): void {
    this.#fail(new AppFailure(502, reason));
    this.#intake?.fail(new Error(`the app broke: ${reason}`));
    this.#session?.lost();
    this.#over();
  }

  #settle(response: Response): void {
    this.#settled = true;
    this.#headCame();
    this.#result.resolve(response);
  }

  #fail(failure: AppFailure): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#headCame();
    this.#result.reject(failure);
  }

  #headCame(): void {
    if (!this.#waitsForHead) return;
    this.#waitsForHead = false;
    this.#owner.headCame(this);
  }

  #over(): void {
    this.#headCame();
    if (this.#isOver) return;
    this.#isOver = true;
    this.#request = null;
    this.#owner.over();
  }
}

type Client = Parameters<SocketPipe["attach"]>[0];

/** One WebSocket between a client and an app; what comes before `attach` waits. */
class Session implements SocketPipe {
  readonly #stream: Stream;
  readonly #outbox: Outbox;
  readonly #assembly = new Assembly();
  readonly #onOver: () => void;
  #client: Client | null = null;
  /** Messages for a client that is not attached yet; bounded by the stream's window. */
  #early: (() => void)[] = [];
  /** Bytes not credited to the app because the client does not take them. */
  #held = 0;
  #paused = false;
  #closed = false;

  constructor(stream: Stream, onOver: () => void) {
    this.#stream = stream;
    this.#outbox = new Outbox(stream);
    this.#onOver = onOver;
  }

  attach(client: Client): void {
    this.#client = client;
    const early = this.#early;
    this.#early = [];
    for (const run of early) run();
  }

  message(data: string | Uint8Array): void {
    if (this.#closed) return;
    const size = typeof data === "string" ? Buffer.byteLength(data) : data.byteLength;
    if (size > messageBytesMax) {
      this.#finish(1009, "the message is too large");
      return;
    }
    if (this.#outbox.backlogBytes > socketBacklogBytesMax) {
      this.#finish(1013, "the app reads too slowly");
      return;
    }
    this.#outbox.send(typeof data === "string" ? data : data.slice());
  }

  close(code: number, reason: string): void {
    this.#outbox.close(code, reason);
    this.#closed = true;
    this.#onOver();
  }

  drained(): void {
    this.#paused = false;
    this.#credit(0);
  }

  fromApp(flags: number, bytes: Buffer): void {
    const message = this.#assembly.add(flags, bytes);
    const cost = bytes.length + messageCost;
    if (message === null) {
      this.#credit(cost);
      return;
    }
    this.#deliver(() => {
      if ((flags & tag.close) !== 0) {
        const { code, reason } = readClose(message.bytes);
        this.#finish(code, reason);
      } else if (!this.#closed) {
        const data = message.text ? message.bytes.toString("utf8") : message.bytes;
        if (this.#client?.send(data) === false) this.#paused = true;
      }
      this.#credit(cost);
    });
  }

  /** The app is gone without a word. */
  lost(): void {
    this.#deliver(() => this.#finish(1011, "the app has gone"));
  }

  #deliver(run: () => void): void {
    if (this.#client === null) this.#early.push(run);
    else run();
  }

  #finish(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client?.close(code, reason);
    this.#outbox.close(code, reason);
    this.#onOver();
  }

  #credit(bytes: number): void {
    this.#held += bytes;
    if (this.#paused) return;
    this.#stream.consumed(this.#held);
    this.#held = 0;
  }
}
