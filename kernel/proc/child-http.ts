/**
 * The clients of `node:http` and `node:https` inside an app's process, over `fetch`: libraries that
 * know nothing of fetch reach the network the same one way.
 *
 * Rules: the part of ClientRequest and IncomingMessage that clients use; agents, sockets and
 * `lookup` are passed over, because there is no socket; redirects are left to the caller, as in
 * Node; only loaded when an app's code names these modules.
 */
import { Readable, Writable } from "node:stream";

type Heads = Record<string, string | number | readonly string[] | undefined>;

interface Options {
  protocol?: string | null;
  hostname?: string | null;
  host?: string | null;
  port?: string | number | null;
  path?: string | null;
  method?: string;
  headers?: Heads | readonly string[];
  auth?: string | null;
  timeout?: number;
  signal?: AbortSignal;
}

type Answered = (answer: Answer) => void;

/** The URL that a request's options mean. Pure. */
export function urlOf(options: Options, standard: "http:" | "https:"): URL {
  const protocol = options.protocol ?? standard;
  const name = options.hostname ?? options.host ?? "localhost";
  const bare = options.hostname == null ? name.replace(/:\d+$/, "") : name;
  const host = bare.includes(":") && !bare.startsWith("[") ? `[${bare}]` : bare;
  const port = options.port == null || options.port === "" ? "" : `:${options.port}`;
  return new URL(`${protocol}//${host}${port}${options.path ?? "/"}`);
}

/** What an answer is to a client of Node's: a stream with a head. */
class Answer extends Readable {
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly httpVersion = "1.1";
  readonly headers: Record<string, string | string[]> = {};
  readonly rawHeaders: string[] = [];
  complete = false;
  #reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "read" | "cancel"> | null;

  constructor(response: Response) {
    super();
    this.statusCode = response.status;
    this.statusMessage = response.statusText;
    for (const [name, value] of response.headers) {
      this.rawHeaders.push(name, value);
      if (name !== "set-cookie") this.headers[name] = value;
    }
    const cookies = response.headers.getSetCookie();
    if (cookies.length > 0) this.headers["set-cookie"] = cookies;
    this.#reader = response.body?.getReader() ?? null;
  }

  override _read(): void {
    const reader = this.#reader;
    if (reader === null) {
      this.complete = true;
      this.push(null);
      return;
    }
    reader.read().then(
      ({ done, value }) => {
        if (done) this.complete = true;
        this.push(done ? null : Buffer.from(value));
      },
      (error: unknown) => this.destroy(error as Error),
    );
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // Its end is of no interest any more.
    this.#reader?.cancel(error).catch(() => undefined);
    this.#reader = null;
    done(error);
  }

  setTimeout(): this {
    return this;
  }
}

/** What a request is to a client of Node's. */
class ClientRequest extends Writable {
  readonly #url: URL;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly protocol: string;
  readonly #headers = new Headers();
  readonly #abort = new AbortController();
  readonly #pieces: Buffer[] = [];
  #feed: ReadableStreamDefaultController<Uint8Array> | null = null;
  #drained: (() => void) | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #sent = false;
  aborted = false;

  constructor(url: URL, options: Options, answered: Answered | undefined) {
    // Having sent everything is not the end here: the answer is still to come.
    super({ autoDestroy: false });
    this.#url = url;
    this.method = (options.method ?? "GET").toUpperCase();
    this.path = url.pathname + url.search;
    this.host = url.hostname;
    this.protocol = url.protocol;
    const { headers = {}, auth } = options;
    if (Array.isArray(headers)) {
      for (let i = 0; i + 1 < headers.length; i += 2) {
        this.#headers.append(String(headers[i]), String(headers[i + 1]));
      }
    } else {
      for (const [name, value] of Object.entries(headers as Heads)) {
        if (value !== undefined) this.setHeader(name, value);
      }
    }
    if (auth != null && !this.#headers.has("authorization")) {
      this.setHeader("authorization", `Basic ${Buffer.from(auth).toString("base64")}`);
    }
    if (answered !== undefined) this.once("response", answered);
    if (options.timeout !== undefined) this.setTimeout(options.timeout);
    options.signal?.addEventListener("abort", () => this.destroy(abortError()), { once: true });
  }

  setHeader(name: string, value: string | number | readonly string[]): this {
    this.#headers.delete(name);
    for (const one of Array.isArray(value) ? value : [value])
      this.#headers.append(name, String(one));
    return this;
  }

  getHeader(name: string): string | undefined {
    return this.#headers.get(name) ?? undefined;
  }

  getHeaders(): Record<string, string> {
    return Object.fromEntries(this.#headers);
  }

  hasHeader(name: string): boolean {
    return this.#headers.has(name);
  }

  removeHeader(name: string): void {
    this.#headers.delete(name);
  }

  /** Sends what is there; more may follow. */
  flushHeaders(): void {
    this.#send(true);
  }

  setTimeout(ms: number, told?: () => void): this {
    if (told !== undefined) this.once("timeout", told);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = ms > 0 ? setTimeout(() => this.emit("timeout"), ms) : null;
    return this;
  }

  setNoDelay(): void {}

  setSocketKeepAlive(): void {}

  abort(): void {
    this.aborted = true;
    this.emit("abort");
    this.destroy();
  }

  override _write(piece: Buffer, _coding: string, done: (error?: Error | null) => void): void {
    const bytes = Buffer.from(piece);
    if (this.#feed === null) {
      this.#pieces.push(bytes);
      this.#send(true);
      done();
      return;
    }
    this.#feed.enqueue(bytes);
    if ((this.#feed.desiredSize ?? 0) > 0) done();
    else this.#drained = () => done();
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#sent) this.#feed?.close();
    else this.#send(false);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#abort.abort(error ?? abortError());
    done(error);
  }

  #send(streamed: boolean): void {
    if (this.#sent) return;
    this.#sent = true;
    const init: RequestInit & { duplex?: "half" } = {
      method: this.method,
      headers: this.#headers,
      redirect: "manual",
      signal: this.#abort.signal,
    };
    if (this.method !== "GET" && this.method !== "HEAD") {
      init.body = streamed
        ? this.#stream()
        : (Buffer.concat(this.#pieces) as Uint8Array<ArrayBuffer>);
      init.duplex = "half";
    }
    // Decoding is the client's matter here, as in Node: nothing is asked for that it did not ask.
    if (!this.#headers.has("accept-encoding")) this.#headers.set("accept-encoding", "identity");
    globalThis.fetch(this.#url, init).then(
      (response) => this.#answered(response),
      (error: unknown) => {
        if (!this.destroyed) this.destroy(error as Error);
      },
    );
  }

  #stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      start: (feed) => {
        this.#feed = feed;
        for (const piece of this.#pieces.splice(0)) feed.enqueue(piece);
      },
      pull: () => {
        this.#drained?.();
        this.#drained = null;
      },
    });
  }

  #answered(response: Response): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const answer = new Answer(response);
    if (!this.emit("response", answer)) answer.resume();
  }
}

function abortError(): Error {
  return Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
}

/** Puts these clients in the place of Node's. */
export function installHttp(): void {
  for (const scheme of ["http", "https"] as const) {
    const module = require(`node:${scheme}`) as Record<string, unknown>;
    const request = (...given: unknown[]): ClientRequest => {
      const answered = given.find((one) => typeof one === "function") as Answered | undefined;
      const [first, second] = given;
      const named = typeof first === "string" || first instanceof URL;
      const options = ((named ? second : first) ?? {}) as Options;
      const plain = typeof options === "function" ? {} : options;
      const url = named ? new URL(String(first)) : urlOf(plain, `${scheme}:`);
      return new ClientRequest(url, plain, answered);
    };
    module["request"] = request;
    module["get"] = (...given: unknown[]) => {
      const made = request(...given);
      made.end();
      return made;
    };
  }
}
