/**
 * Serving inside an app's process: requests from the wire become `Request` objects, what the app
 * returns becomes frames.
 *
 * Rules: bodies stream both ways with back-pressure; a reply whose body is a string or bytes
 * leaves as one frame; `request.signal` aborts when the client goes; a handler that throws costs
 * its client a 502 and the log a stack, and nothing else.
 */
import { Intake, pour } from "./body.ts";
import type { EventHandlers } from "./child-event.ts";
import { AppSocket, type SocketHandlers, Topics } from "./child-socket.ts";
import { kind, type RequestHead, readHeaders, readRequest, writeReply } from "./head.ts";
import { headBytesMax, pieceBytesMax } from "./limits.ts";
import type { Listener, Opened, Stream } from "./stream.ts";

type Handler = (request: Request, context: Context, execution: Context) => unknown;

/** What an app's entry exports, made sense of. */
export interface AppModule {
  readonly fetch: Handler;
  readonly websocket: SocketHandlers;
}

export interface Serving {
  accept(stream: Stream, opened: Opened): Listener;
  /** Resolves when everything given to `waitUntil` has settled. */
  settled(): Promise<void>;
}

/** Reads the app's entry: a default export that is a function or has `fetch`. Throws TypeError. */
export function readModule(module: Record<string, unknown>): AppModule {
  const main = module["default"];
  const object = main as { fetch?: unknown; websocket?: unknown } | undefined;
  const websocket = (module["websocket"] ?? object?.websocket ?? {}) as SocketHandlers;
  if (typeof object?.fetch === "function") {
    const { fetch } = object as { fetch: Handler };
    return { fetch: (...args) => fetch.apply(object, args), websocket };
  }
  if (typeof main === "function") return { fetch: main as Handler, websocket };
  throw new TypeError(
    'cannot run this app: its server has no default export with "fetch" ' +
      "(export default a Hono app, an object with fetch(request, context), or a function)",
  );
}

const cachedHeadersMax = 64;
const cachedHeadersCharsMax = 1024;

/** What every request of this process shares. */
class Shared {
  readonly pending = new Set<Promise<unknown>>();
  readonly topics = new Topics();
  readonly module: AppModule;
  readonly app: string;
  readonly release: string;
  readonly events: EventHandlers;
  readonly #busy: (busy: boolean) => void;
  /** Headers seen before: clients send the same ones again and again. */
  readonly #headers = new Map<string, Headers>();

  constructor(module: AppModule, about: About) {
    this.module = module;
    this.app = about.app;
    this.release = about.release;
    this.events = about.events;
    this.#busy = about.busy;
  }

  /** The headers of a request. Valid until the next call: whoever keeps them makes a copy. */
  headersOf({ id, headers: lines }: RequestHead): Headers {
    let headers = this.#headers.get(lines);
    if (headers === undefined) {
      headers = new Headers(readHeaders(lines));
      if (lines.length <= cachedHeadersCharsMax) {
        if (this.#headers.size >= cachedHeadersMax) this.#headers.clear();
        this.#headers.set(lines, headers);
      }
    }
    headers.set("x-request-id", id);
    return headers;
  }

  /** Work that goes on after its reply; the kernel is told while there is any. */
  hold(work: Promise<unknown>): void {
    const { pending } = this;
    const settled = Promise.resolve(work)
      .catch((error: unknown) => console.error(error))
      .finally(() => {
        pending.delete(settled);
        if (pending.size === 0) this.#busy(false);
      });
    if (pending.size === 0) this.#busy(true);
    pending.add(settled);
  }
}

/** What a process knows of itself. */
interface About {
  readonly app: string;
  readonly release: string;
  readonly events: EventHandlers;
  /** Tells the kernel whether work goes on in the background. */
  readonly busy: (busy: boolean) => void;
}

export function createServing(module: AppModule, about: About): Serving {
  captureResponses();
  const shared = new Shared(module, about);
  return {
    accept(stream, opened) {
      const exchange = new Exchange(stream, opened, shared);
      exchange.run();
      return exchange;
    },
    async settled() {
      while (shared.pending.size > 0) await Promise.allSettled(shared.pending);
    },
  };
}

/** The second argument of `fetch`; for Hono it is `c.env` and `c.executionCtx`. */
class Context {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get app(): string {
    return this.#exchange.shared.app;
  }

  get release(): string {
    return this.#exchange.shared.release;
  }

  /** The signed-in user's id, or null. */
  get user(): string | null {
    return this.#exchange.about.userId || null;
  }

  /** The client's address, or null. */
  get ip(): string | null {
    return this.#exchange.about.address || null;
  }

  /** The request's id, as in the access log and in `x-request-id`. */
  get requestId(): string {
    return this.#exchange.about.id;
  }

  /** Keeps the process from being put to sleep until this has settled. */
  waitUntil(work: Promise<unknown>): void {
    this.#exchange.shared.hold(work);
  }

  passThroughOnException(): void {}

  /** As Bun's `server.upgrade`: true when this request becomes a WebSocket. */
  upgrade(_request: Request, options?: { data?: unknown; headers?: Bun.HeadersInit }): boolean {
    return this.#exchange.upgrade(options ?? {});
  }

  /** As Bun's `server.requestIP`. */
  requestIP(): { address: string; family: "IPv4" | "IPv6"; port: number } | null {
    const address = this.ip;
    if (address === null) return null;
    return { address, family: address.includes(":") ? "IPv6" : "IPv4", port: 0 };
  }

  /** As Bun's `server.publish`. */
  publish(topic: string, data: string | Uint8Array): number {
    return this.#exchange.shared.topics.publish(topic, data, null);
  }

  /** Streams are never cut for being slow here; for handlers written for Bun's server. */
  timeout(): void {}
}

/** One request and its reply. */
class Exchange implements Listener {
  readonly shared: Shared;
  readonly about: RequestHead;
  readonly #stream: Stream;
  readonly #opened: Opened;
  #intake: Intake | null = null;
  #abort: AbortController | null = null;
  #socket: AppSocket | null = null;
  #gone = false;

  constructor(stream: Stream, opened: Opened, shared: Shared) {
    this.#stream = stream;
    this.#opened = opened;
    this.shared = shared;
    this.about = readRequest(opened.head);
  }

  run(): void {
    const context = new Context(this);
    const { events, module } = this.shared;
    let answer: unknown;
    try {
      // The kernel's mark is the first header; what a client sends never begins with x-fazt-.
      answer = this.about.headers.startsWith("x-fazt-event\n")
        ? events.deliver(this.#request())
        : module.fetch(this.#request(), context, context);
    } catch (error) {
      this.#failed(error);
      return;
    }
    if (answer instanceof Promise) {
      answer.then(
        (response) => this.#answer(response),
        (error) => this.#failed(error),
      );
    } else {
      this.#answer(answer);
    }
  }

  #request(): Request {
    const { method, url } = this.about;
    const headers = this.shared.headersOf(this.about);
    const opened = this.#opened;
    const init: RequestInit & { duplex?: "half" } = { method, headers };
    if (this.#opened.kind === kind.request && (opened.body.length > 0 || !opened.end)) {
      if (opened.end) {
        init.body = opened.body as Uint8Array<ArrayBuffer>;
      } else {
        const intake = new Intake(this.#stream, opened.body, false);
        this.#intake = intake;
        init.body = intake.readable();
        init.duplex = "half";
      }
    }
    return new AppRequest(url, init, this);
  }

  /** Aborted when the client goes; made only when somebody asks for it. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#gone) this.#abort.abort(new DOMException("the client has gone", "AbortError"));
    return this.#abort.signal;
  }

  upgrade(options: { data?: unknown; headers?: Bun.HeadersInit }): boolean {
    if (this.#opened.kind !== kind.socket || this.#socket !== null || this.#stream.over) {
      return false;
    }
    const { topics, module } = this.shared;
    const given = { handlers: module.websocket, topics, about: this.about };
    const socket = new AppSocket(this.#stream, given);
    socket.data = options.data;
    this.#socket = socket;
    const head = writeReply(101, new Headers(options.headers));
    this.#stream.answer({ kind: kind.accepted, head, body: null, end: false });
    queueMicrotask(() => socket.opened());
    return true;
  }

  #answer(answer: unknown): void {
    if (this.#socket !== null || this.#stream.over) return;
    if (!(answer instanceof Response)) {
      const what = answer === undefined ? "nothing" : typeof answer;
      this.#failed(new TypeError(`fetch must answer a Response, not ${what}`));
      return;
    }
    const whole = wholeBody(answer);
    let head = writeReply(answer.status, answer.headers);
    if (whole?.type != null && !answer.headers.has("content-type")) {
      head += `\ncontent-type\n${whole.type}`;
    }
    // Characters are at most three bytes in UTF-8; the kernel reads no larger head.
    if (head.length * 3 > headBytesMax && Buffer.byteLength(head) > headBytesMax) {
      this.#failed(new RangeError("the reply's headers are over 64 KB"));
      return;
    }
    const stream = this.#stream;
    if (whole !== null && whole.size <= pieceBytesMax) {
      stream.answer({ kind: kind.reply, head, body: whole.body, end: true });
    } else {
      const { body } = answer;
      stream.answer({ kind: kind.reply, head, body: null, end: body === null });
      if (body !== null) return void pour(stream, body).then(() => this.#answered());
    }
    this.#answered();
  }

  /** The reply is complete: what is left of the request's body is of no use to anybody. */
  #answered(): void {
    if (this.#stream.over) return;
    this.#intake?.fail(new Error("the request has been answered"));
    this.#stream.reset("answered");
  }

  #failed(error: unknown): void {
    console.error(error);
    this.#stream.reset(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    this.#gone = true;
  }

  head(): void {}

  data(bytes: Buffer): void {
    this.#intake?.push(bytes);
  }

  message(flags: number, bytes: Buffer): void {
    this.#socket?.message(flags, bytes);
  }

  end(): void {
    this.#intake?.end();
    this.#socket?.ended();
  }

  reset(reason: string): void {
    this.#gone = true;
    const error = new DOMException(`the client has gone: ${reason}`, "AbortError");
    this.#intake?.fail(error);
    this.#abort?.abort(error);
    this.#socket?.lost();
  }
}

/** A request whose signal costs nothing until it is asked for. */
class AppRequest extends Request {
  readonly #exchange: Exchange;

  constructor(url: string, init: RequestInit, exchange: Exchange) {
    super(url, init);
    this.#exchange = exchange;
  }

  // @ts-expect-error: the declarations have a property where the standard has an accessor
  override get signal(): AbortSignal {
    return this.#exchange.signal;
  }
}

/** A body known when its response was made. */
interface Whole {
  readonly body: string | Uint8Array | null;
  readonly size: number;
  /** The content type it implies, or null. */
  readonly type: string | null;
}

const whole = Symbol("whole");

function wholeBody(response: Response): Whole | null {
  const known: unknown = Reflect.get(response, whole);
  return known === undefined || response.bodyUsed ? null : (known as Whole);
}

function wholeOf(body: unknown): Whole | null {
  if (body === null || body === undefined) return { body: null, size: 0, type: null };
  if (typeof body === "string") {
    return { body, size: body.length * 3, type: "text/plain;charset=utf-8" };
  }
  if (body instanceof Uint8Array) return { body: body.slice(), size: body.length, type: null };
  if (body instanceof ArrayBuffer) {
    return { body: new Uint8Array(body.slice(0)), size: body.byteLength, type: null };
  }
  return null;
}

/**
 * Makes `Response` remember a body that is whole, so that it leaves as one frame and nobody makes
 * a stream of five letters.
 */
function captureResponses(): void {
  const Native = globalThis.Response;
  class CapturedResponse extends Native {
    [whole]?: Whole;

    constructor(body?: Bun.BodyInit | null, init?: ResponseInit) {
      super(body, init);
      const known = wholeOf(body);
      if (known !== null) this[whole] = known;
    }

    static override json(value: unknown, init?: ResponseInit): Response {
      const headers = new Headers(init?.headers as Bun.HeadersInit | undefined);
      if (!headers.has("content-type")) {
        headers.set("content-type", "application/json;charset=utf-8");
      }
      return new CapturedResponse(JSON.stringify(value), { ...init, headers });
    }

    static override [Symbol.hasInstance](value: unknown): boolean {
      return Function.prototype[Symbol.hasInstance].call(Native, value);
    }
  }
  Object.defineProperty(CapturedResponse, "name", { value: "Response" });
  globalThis.Response = CapturedResponse as typeof Response;
}
