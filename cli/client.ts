/**
 * Makes calls of a kernel: over its control socket, or over HTTP with a token.
 *
 * Rules: nothing is tried twice; a kernel that cannot be reached is ECONNREFUSED (exit code 3) with
 * what to do; an answer that is no fazt's is told as that. Replies arrive as they are: one JSON
 * value, lines as an async iterable, bytes as a stream.
 */
import { type ErrorBody, isErrno, SysError } from "../kernel/errno.ts";
import type { CallDescription } from "../kernel/syscall/mod.ts";
import { splitLines } from "./line.ts";
import type { Target } from "./target.ts";

export interface CallOptions {
  /** The bytes of a call that takes an upload. */
  readonly body?: Blob | ReadableStream<Uint8Array>;
  readonly signal?: AbortSignal;
  /** A session, in place of a token. */
  readonly cookie?: string;
}

/** The kernel, as the command sees it. Every method throws SysError (Refusal when it refused). */
export interface Client {
  readonly target: Target;
  /** The one JSON value of a call by its dotted name. */
  json(name: string, input?: unknown, options?: CallOptions): Promise<unknown>;
  /** A stream of JSON values; ends when the kernel ends it. */
  lines(name: string, input?: unknown, options?: CallOptions): AsyncIterable<unknown>;
  /** The bytes of a call, as they arrive. */
  bytes(name: string, input?: unknown, options?: CallOptions): AsyncIterable<Uint8Array>;
  /** One message to the machine's tools (`/mcp`); null when nothing is answered. */
  mcp(message: string): Promise<string | null>;
  /** The answer itself, for who needs its headers. */
  raw(name: string, input?: unknown, options?: CallOptions): Promise<Response>;
}

/** What a kernel refused, with the call that it refused. */
export class Refusal extends SysError {
  readonly call: string | null;

  constructor({ code, message, hint, call }: ErrorBody) {
    super(code, message, hint === null ? {} : { hint });
    this.call = call;
  }
}

function isErrorBody(value: unknown): value is ErrorBody {
  const { code, message } = (value ?? {}) as Partial<ErrorBody>;
  return isErrno(code) && typeof message === "string";
}

/** The refusal that a JSON text tells of, or null. */
function refusalIn(value: unknown): Refusal | null {
  const error = (value as { error?: unknown } | null)?.error;
  if (!isErrorBody(error)) return null;
  return new Refusal({ ...error, hint: error.hint ?? null, call: error.call ?? null });
}

function unreachable(target: Target, cause: unknown): SysError {
  if (target.kind === "local") {
    return new SysError("ECONNREFUSED", `cannot reach the kernel of "${target.dataDir}"`, {
      hint: "is it running? fazt proc start (or --data DIR, or --host for another machine)",
      cause,
    });
  }
  return new SysError("ECONNREFUSED", `cannot reach "${target.url}": ${reasonOf(cause)}`, {
    hint: "is the machine up, and does its name point to it?",
    cause,
  });
}

/** An upload that the other side would not hear to its end. */
function tooLarge(name: string, cause?: unknown): SysError {
  return new SysError("EFBIG", `cannot send all of "${name}": the machine takes no more`, {
    hint: "one upload is 100 MB at most, a cartridge 2 GB",
    cause,
  });
}

const cutCodes = ["ECONNRESET", "EPIPE", "ConnectionClosed"];

function reasonOf(cause: unknown): string {
  const code = String((cause as { code?: unknown } | null)?.code ?? "");
  const known: Readonly<Record<string, string>> = {
    ECONNREFUSED: "connection refused",
    ConnectionRefused: "connection refused",
    ENOTFOUND: "no such host",
    ECONNRESET: "connection reset",
    ETIMEDOUT: "no answer",
  };
  return known[code] ?? (cause instanceof Error ? cause.message : "no answer");
}

/** The request's URL and what `fetch` needs to get it to the target. */
function addressed(target: Target, path: string): { url: string; init: BunFetchRequestInit } {
  if (target.kind === "local") return { url: `http://fazt${path}`, init: { unix: target.socket } };
  const { host, hostname, protocol, port } = new URL(target.url);
  const headers: Record<string, string> = {};
  if (target.token !== null) headers["authorization"] = `Bearer ${target.token}`;
  // RFC 6761: names below localhost are this machine, also where the resolver does not know it.
  if (!hostname.endsWith(".localhost") || protocol !== "http:") {
    return { url: `${target.url}${path}`, init: { headers } };
  }
  const at = `http://127.0.0.1${port === "" ? "" : `:${port}`}`;
  return { url: `${at}${path}`, init: { headers: { ...headers, host } } };
}

class HttpClient implements Client {
  readonly target: Target;
  readonly #paths: ReadonlyMap<string, { path: string; upload: boolean }>;

  constructor(target: Target, table: readonly CallDescription[]) {
    this.target = target;
    this.#paths = new Map(
      table.map(({ name, words, upload }) => [name, { path: `/sys/${words.join("/")}`, upload }]),
    );
  }

  async json(name: string, input?: unknown, options: CallOptions = {}): Promise<unknown> {
    const response = await this.raw(name, input, options);
    try {
      return await response.json();
    } catch (cause) {
      throw new SysError("EIO", `cannot read the answer of "${name}": cut short or no JSON`, {
        cause,
      });
    }
  }

  async *lines(name: string, input?: unknown, options: CallOptions = {}): AsyncIterable<unknown> {
    for await (const line of splitLines(this.bytes(name, input, options))) {
      const value: unknown = JSON.parse(line);
      const refusal = refusalIn(value);
      if (refusal !== null) throw refusal;
      yield value;
    }
  }

  async *bytes(
    name: string,
    input?: unknown,
    options: CallOptions = {},
  ): AsyncIterable<Uint8Array> {
    const response = await this.raw(name, input, options);
    if (response.body === null) return;
    const chunks = response.body[Symbol.asyncIterator]();
    for (;;) {
      const next = await chunks.next().catch((cause) => {
        if (options.signal?.aborted === true) throw new SysError("ECANCELED", "interrupted");
        throw new SysError("EIO", `cannot read all of "${name}": the connection was lost`, {
          cause,
        });
      });
      if (next.done === true) return;
      yield next.value;
    }
  }

  async raw(name: string, input: unknown = {}, options: CallOptions = {}): Promise<Response> {
    const response = await this.#send(name, input, options);
    if (response.ok) return response;
    throw await this.#refused(response, name);
  }

  async mcp(message: string): Promise<string | null> {
    const { url, init } = addressed(this.target, "/mcp");
    const headers = new Headers(init.headers);
    headers.set("content-type", "application/json");
    const request = { ...init, method: "POST", headers, body: message, timeout: false } as const;
    const response = await fetch(url, request).catch((error: unknown) => {
      throw unreachable(this.target, error);
    });
    const text = await response.text();
    if (response.status === 202) return null;
    const isRpc = text.startsWith('{"jsonrpc"');
    if (isRpc) return text;
    throw refusalIn(JSON.parse(text)) ?? unreachable(this.target, response.status);
  }

  async #send(name: string, input: unknown, options: CallOptions): Promise<Response> {
    const known = this.#paths.get(name);
    if (known === undefined) throw new SysError("ENOSYS", `no such call: ${name}`);
    const { url, init } = addressed(this.target, known.path);
    const query = known.upload ? `?input=${encodeURIComponent(JSON.stringify(input))}` : "";
    const headers = new Headers(init.headers);
    if (!known.upload) headers.set("content-type", "application/json");
    if (options.cookie !== undefined && this.target.kind === "remote") {
      headers.set("cookie", options.cookie);
      headers.set("origin", this.target.url);
    }
    try {
      return await fetch(url + query, {
        ...init,
        method: "POST",
        headers,
        body: known.upload ? (options.body ?? "") : JSON.stringify(input),
        redirect: "error",
        timeout: false,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (error) {
      if (options.signal?.aborted === true) throw new SysError("ECANCELED", "interrupted");
      const code = String((error as { code?: unknown }).code);
      const cut = known.upload && cutCodes.includes(code);
      if (cut && (await this.#isUp())) throw tooLarge(name, error);
      throw unreachable(this.target, error);
    }
  }

  /** Whether somebody is there: who cuts an upload and lives has had enough; else it is gone. */
  async #isUp(): Promise<boolean> {
    const { url, init } = addressed(this.target, "/sys/health");
    return fetch(url, init).then(
      () => true,
      () => false,
    );
  }

  async #refused(response: Response, name: string): Promise<SysError> {
    const text = await response.text().catch(() => "");
    try {
      const refusal = refusalIn(JSON.parse(text));
      if (refusal !== null) return refusal;
    } catch {
      // Not JSON, so not ours: told below.
    }
    if (response.status === 413) return tooLarge(name);
    const place = this.target.kind === "remote" ? this.target.url : this.target.socket;
    return new SysError("EIO", `cannot call "${name}": "${place}" answered ${response.status}`, {
      hint: "is that address the OS host of a fazt machine?",
    });
  }
}

/** A client of the kernel at `target`. */
export function createClient(target: Target, table: readonly CallDescription[]): Client {
  return new HttpClient(target, table);
}
