/**
 * The app's `kernel` object: every property path is a system call over the app's socket.
 *
 *     const { value } = await kernel.storage.kv.get({ key: "greeting" });
 *     const text = await (await kernel.fs.read({ path: "/data/note.txt" })).text();
 *     for await (const entry of kernel.fs.find({ path: "/data" })) …
 *     kernel.storage.sql().query("SELECT 1").get();
 *     kernel.proc.on("app:blog.post.*", async ({ payload }) => …);
 *
 * Rules: refusals are KernelError with the errno in `code`; nothing is cached or retried here; a
 * reply that is abandoned is cancelled at the kernel.
 */

import type { Database } from "bun:sqlite";
import { volumePragmas } from "../pragma.ts";
import { Intake, pour } from "./body.ts";
import type { EventHandler, EventHandlers } from "./child-event.ts";
import { createFetch } from "./child-fetch.ts";
import { kind, writeCall } from "./head.ts";
import { jsonBytesMax, pieceBytesMax } from "./limits.ts";
import type { Link, Listener, Opened, Stream } from "./stream.ts";

/** What a call may carry beside its input. */
export type Upload = string | Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array>;

/** A refusal of the kernel: `code` is the errno, `hint` what to do. */
export class KernelError extends Error {
  override readonly name = "KernelError";
  readonly code: string;
  readonly hint: string | null;
  readonly call: string | null;

  constructor(body: { code: string; message: string; hint: string | null; call: string | null }) {
    super(body.message);
    this.code = body.code;
    this.hint = body.hint;
    this.call = body.call;
  }
}

export interface KernelClient {
  /** What apps import; typed for them by the call table. */
  readonly kernel: unknown;
  /** `net.fetch` as `fetch`. */
  readonly fetch: typeof globalThis.fetch;
  /** Whether the SQL volume is open. */
  readonly opened: boolean;
  /** Closes the SQL volume. Idempotent. */
  close(): void;
}

/** The app's SQL volume: its file, and the bytes it may have. */
export interface Volume {
  readonly volume: string;
  readonly quotaBytes: number;
}

/** The `kernel` object of a process on this link, whose SQL volume is this file. */
export function createClient(link: Link, volume: Volume, events: EventHandlers): KernelClient {
  let database: Database | null = null;
  const sql = () => {
    database ??= openVolume(volume);
    return database;
  };
  const poured = createCollecting();
  const named = (name: string, input: unknown) =>
    new Calling(name, poured).start(
      link,
      typeof input === "string" ? { name: input } : input,
      undefined,
    );
  const call = (name: string, input: unknown, second: unknown) => {
    if (name === "storage.sql") return sql();
    // A group of the owner's calls has that name already.
    const wanted = name === "security.user" ? "security.user.of" : name;
    if (name === "proc.on") {
      if (typeof input !== "string" || typeof second !== "function") {
        return Promise.reject(new TypeError("kernel.proc.on takes a name and a function"));
      }
      events.add(input, second as EventHandler);
      return named(name, input);
    }
    if (name === "proc.off") {
      events.remove(String(input));
      return named(name, input);
    }
    return new Calling(wanted, poured).start(link, input, second as Upload | undefined);
  };
  return {
    kernel: path("", call),
    fetch: createFetch((input, upload, signal) => {
      const calling = new Calling("net.fetch", poured);
      const reply = calling.start(link, input, upload) as Promise<Response>;
      const cancel = () => calling.cancel(signal.reason);
      signal.addEventListener("abort", cancel, { once: true });
      return reply.finally(() => signal.removeEventListener("abort", cancel));
    }),
    get opened() {
      return database !== null;
    },
    close() {
      database?.close();
      database = null;
    },
  };
}

type CallFunction = (name: string, input: unknown, second: unknown) => unknown;

/** `kernel.a.b` as an object that is callable and whose properties lead on; each made once. */
function path(name: string, call: CallFunction): unknown {
  const known = new Map<string, unknown>();
  const target = (input?: unknown, second?: unknown) => call(name, input, second);
  return new Proxy(target, {
    get(_target, key) {
      if (typeof key !== "string" || key === "then" || key === "toJSON") return undefined;
      let next = known.get(key);
      if (next === undefined) {
        next = path(name === "" ? key : `${name}.${key}`, call);
        known.set(key, next);
      }
      return next;
    },
  });
}

function openVolume({ volume, quotaBytes }: Volume): Database {
  const sqlite: typeof import("bun:sqlite") = require("bun:sqlite");
  const database = new sqlite.Database(volume, { create: true });
  const size = database.query<{ page_size: number }, []>("PRAGMA page_size").get();
  for (const pragma of volumePragmas(quotaBytes, size?.page_size ?? 4096)) database.run(pragma);
  return database;
}

/** One call under way. */
class Calling implements Listener {
  readonly #name: string;
  readonly #poured: (bytes: number) => void;
  readonly #result = Promise.withResolvers<unknown>();
  #stream: Stream | null = null;
  #intake: Intake | null = null;
  #kind = 0;
  #whole: Buffer[] = [];
  #wholeBytes = 0;

  constructor(name: string, poured: (bytes: number) => void) {
    this.#name = name;
    this.#poured = poured;
  }

  start(link: Link, input: unknown, upload: Upload | undefined): Promise<unknown> {
    const json = Buffer.from(JSON.stringify(input ?? {}));
    if (json.length > jsonBytesMax) {
      throw this.#error("EFBIG", `cannot call "${this.#name}": the input is over 4 MB`);
    }
    const small = json.length <= pieceBytesMax;
    const end = small && upload === undefined;
    const head = writeCall(this.#name, json.length);
    const opening = { kind: kind.call, head, body: small ? json : null, end };
    const stream = link.open(opening, this);
    this.#stream = stream;
    if (!end) void pour(stream, rest(inOrder(small ? null : json, upload, this.#poured)));
    const { promise } = this.#result;
    return Object.assign(promise, { [Symbol.asyncIterator]: () => iterate(promise) });
  }

  /** Gives the call up before its reply has begun. */
  cancel(reason: unknown): void {
    this.#stream?.reset("canceled by the app");
    this.#result.reject(reason);
  }

  head(opened: Opened): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#kind = opened.kind;
    if (opened.kind === kind.json || opened.kind === kind.error) {
      if (opened.body.length > 0) this.data(opened.body);
      if (opened.end) this.end();
      return;
    }
    const intake = new Intake(stream, opened.body, opened.end);
    intake.onCancel = () => stream.reset("canceled by the app");
    this.#intake = intake;
    const content = intake.readable();
    this.#result.resolve(opened.kind === kind.lines ? values(content) : new Response(content));
  }

  data(bytes: Buffer): void {
    if (this.#intake !== null) {
      this.#intake.push(bytes);
      return;
    }
    this.#wholeBytes += bytes.length;
    this.#whole.push(bytes);
    this.#stream?.consumed(bytes.length);
  }

  message(): void {}

  end(): void {
    if (this.#intake !== null) {
      this.#intake.end();
      return;
    }
    const first = this.#whole.length === 1 ? this.#whole[0] : undefined;
    const text = (first ?? Buffer.concat(this.#whole, this.#wholeBytes)).toString("utf8");
    if (this.#kind === kind.error) this.#result.reject(new KernelError(JSON.parse(text)));
    else this.#result.resolve(text === "" ? undefined : JSON.parse(text));
  }

  reset(reason: string): void {
    const error =
      reason === "EAGAIN"
        ? this.#error("EAGAIN", `cannot call "${this.#name}": too many calls at once`)
        : this.#error("EIO", `cannot finish "${this.#name}": ${reason}`);
    this.#intake?.fail(error);
    this.#result.reject(error);
  }

  #error(code: string, message: string): KernelError {
    return new KernelError({ code, message, hint: null, call: this.#name });
  }
}

/** Pieces as a stream that is asked for them one by one. */
function rest(pieces: AsyncGenerator<Uint8Array, void>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        const { done, value } = await pieces.next();
        if (done) out.close();
        else out.enqueue(value);
      },
      async cancel() {
        await pieces.return();
      },
    },
    { highWaterMark: 0 },
  );
}

/** What follows the first frame: the input when it did not fit, then the upload. */
async function* inOrder(
  json: Uint8Array | null,
  upload: Upload | undefined,
  poured: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void> {
  if (json !== null) yield json;
  if (typeof upload === "string") yield* encoded(upload);
  else if (upload instanceof Uint8Array) yield upload;
  else if (upload instanceof ArrayBuffer) yield new Uint8Array(upload);
  else if (upload !== undefined) {
    const body = new Response(upload as Bun.BodyInit).body;
    if (body === null) return;
    for await (const piece of body) {
      yield piece;
      poured(piece.length);
    }
  }
}

/** Bytes of streams after which what they left behind is collected. */
const collectBytes = 16 * 1024 * 1024;

/**
 * Counts what streams carried, and collects now and then: the runtime's own streams hold copies
 * that its collector does not weigh, and an app of 128 MB was ended for them (measured: 62 uploads
 * of 8 MB in a row; 26 MB with this, 3 to 5 ms each time).
 */
function createCollecting(): (bytes: number) => void {
  let left = collectBytes;
  return (bytes) => {
    left -= bytes;
    if (left > 0) return;
    left = collectBytes;
    Bun.gc(true);
  };
}

/**
 * A text as UTF-8, a piece at a time: a copy of all of it (as `Response` makes one, of bytes too)
 * is memory that the collector does not see soon enough, and an app may have little.
 */
function* encoded(text: string): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  for (let at = 0; at < text.length; ) {
    let end = Math.min(at + pieceBytesMax, text.length);
    const last = text.charCodeAt(end - 1);
    // Two halves of one character stay together.
    if (end < text.length && last >= 0xd800 && last < 0xdc00) end--;
    yield encoder.encode(text.slice(at, end));
    at = end;
  }
}

/** A reply of lines can be looped over without awaiting it first. */
async function* iterate(reply: Promise<unknown>): AsyncGenerator<unknown> {
  yield* (await reply) as AsyncIterable<unknown>;
}

/** NDJSON as values. Leaving the loop cancels the call. */
async function* values(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield JSON.parse(line);
  }
}
