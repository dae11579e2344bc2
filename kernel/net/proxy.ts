/**
 * What is done to a request on its way to an app: headers that would lie, and limits of bodies.
 *
 * Rules: what a client says of who it is or whom it asked is never handed on (RFC 7239's and the
 * older names alike); bodies are counted as they flow, never held.
 */
import type { Machine } from "../machine.ts";
import type { Page } from "../page.ts";
import { bodyBytesMax, bodyTimeMsMax, shortBodyBytesMax, uploadBytesMax } from "./limits.ts";
import { refusals } from "./page.ts";

/** Headers by which a client could pass for another; `x-forwarded-*` and `x-fazt-*` beside them. */
const claimed = new Set([
  "forwarded",
  "x-real-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "true-client-ip",
  "cf-connecting-ip",
  "fastly-client-ip",
  "x-original-host",
  "x-original-url",
  "x-rewrite-url",
  "x-request-id",
]);

/** Never dropped, whatever Connection names; the handshake of a WebSocket is still to be made. */
const vital = new Set(["host", "content-length", "content-type", "upgrade"]);

/**
 * Which of a client's headers an app is told, by their names in lower case: none that would lie
 * about who it is or whom it asked, and none that its Connection header names (RFC 9110, 7.6.1).
 * What is true of these, proc tells the app.
 */
export function passesOf(headers: Headers): (name: string) => boolean {
  const connection = headers.get("connection");
  if (connection === null) return isHonest;
  const hop = new Set<string>();
  for (const token of connection.split(",")) {
    const name = token.trim().toLowerCase();
    if (!vital.has(name)) hop.add(name);
  }
  return (name) => isHonest(name) && !hop.has(name);
}

function isHonest(name: string): boolean {
  const claims = name.startsWith("x-forwarded-") || name.startsWith("x-fazt-");
  return !claims && !claimed.has(name);
}

/** How many bytes of body a request to an app may have, by the kind of its content. */
export function bodyAllowance(contentType: string | null): number {
  const upload = /^\s*(multipart\/form-data|application\/octet-stream|(image|audio|video)\/)/i;
  return contentType !== null && upload.test(contentType) ? uploadBytesMax : bodyBytesMax;
}

/** Whether a message may take longer than the listener's timer: by its length where it has one. */
export function isLong(headers: Headers, whenUnknown: boolean): boolean {
  const length = headers.get("content-length");
  return length === null ? whenUnknown : Number(length) > shortBodyBytesMax;
}

/**
 * Whether two readers could disagree on where the body ends: the listener takes two equal lengths
 * for one and ", chunked" for "chunked", as it may (RFC 9110, 8.6 and 5.6.1); others need not.
 */
export function isFramingDoubtful(headers: Headers): boolean {
  const length = headers.get("content-length");
  if (length !== null) return !/^\d+$/.test(length);
  const coding = headers.get("transfer-encoding");
  return coding !== null && !/^\s*chunked\s*$/i.test(coding);
}

/** A request whose body is being counted. */
export interface Metered {
  readonly request: Request;
  /** Resolves with the refusal when the body passes a limit; else never. */
  readonly refused: Promise<Page> | null;
  /** Resolves when nothing more of the body comes; null: there is nothing to wait for. */
  pending(): Promise<void> | null;
}

/** By what a body is timed, and who is told of its end. */
interface Watch {
  readonly machine: Machine;
  /** How long the rest may come when nobody wants it: the app has answered without, ms. */
  readonly restMs: number;
  /** Whether the rest is to be taken all the same. */
  readonly whole: boolean;
  /** It has come whole, or never will. */
  ended(): void;
}

/**
 * Applies the limits to a body: a length that is too large is refused at once (null), a body that
 * is long or of unknown length is counted and timed while it flows.
 */
export function meter(request: Request, watch: Watch): Metered | null {
  const { headers } = request;
  const length = headers.get("content-length");
  const chunked = headers.has("transfer-encoding");
  const plain = { request, refused: null, pending: () => null };
  const reads = request.method === "GET" || request.method === "HEAD";
  // Over HTTP/2 a body needs neither a length nor a coding.
  if (length === null && !chunked && (reads || request.body === null)) return plain;
  const max = bodyAllowance(headers.get("content-type"));
  if (length !== null && Number(length) > max) return null;
  // Such a body means nothing (RFC 9110, 9.3.1): nobody reads it, so it does not flow, and the app
  // is told of none.
  if (reads) {
    headers.delete("content-length");
    return plain;
  }
  // The listener itself holds a body to its length, and a short one to its time.
  if (!chunked && !isLong(headers, true) && !watch.whole) return plain;
  return counted(request, max, watch);
}

function counted(request: Request, max: number, watch: Watch): Metered {
  const { machine, restMs, ended } = watch;
  const refusal = Promise.withResolvers<Page>();
  const stop = new AbortController();
  let size = 0;
  let over = false;
  const refuse = (page: Page): Error => {
    const error = new Error(page.title);
    refusal.resolve(page);
    stop.abort(error);
    ended();
    return error;
  };
  const timer = machine.after(bodyTimeMsMax, () => refuse(refusals.tooSlow));
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, out) {
      size += chunk.byteLength;
      if (size > max) out.error(refuse(refusals.tooLarge));
      else out.enqueue(chunk);
    },
  });
  const { signal } = stop;
  request.signal.addEventListener("abort", ended, { once: true });
  const source = request.body;
  const rest = async (): Promise<void> => {
    timer.cancel();
    // Why it broke off is told where it is read; that it has is all there is to know here.
    if (!watch.whole) return void machine.after(restMs, ended);
    await drain(source, watch);
    ended();
  };
  const done = (): void => {
    timer.cancel();
    ended();
  };
  const flow = (async () => {
    await source?.pipeTo(counter.writable, { signal, preventCancel: watch.whole }).then(done, rest);
    over = true;
  })();
  const body = source === null ? null : counter.readable;
  const headers = request.headers;
  headers.delete("transfer-encoding");
  const both = AbortSignal.any([request.signal, signal]);
  const init = { method: request.method, headers, body, signal: both };
  return {
    request: new Request(request.url, init),
    refused: refusal.promise,
    pending: () => (watch.whole && !over ? flow : null),
  };
}

/** Takes what still comes of a body that nobody reads, for a while. */
export async function drain(
  body: ReadableStream<Uint8Array> | null,
  { machine, restMs }: Pick<Watch, "machine" | "restMs">,
): Promise<void> {
  const reader = body?.getReader();
  if (reader === undefined) return;
  const gone = () => void reader.cancel().catch(() => undefined);
  const timer = machine.after(restMs, gone);
  try {
    while (!(await reader.read()).done);
  } catch {
    // The client has gone: nothing more comes.
  } finally {
    timer.cancel();
  }
}

/**
 * An answer that ends when the body has come: over HTTP/2 the runtime resets a stream whose answer
 * ends before, and the client loses the answer (measured; RFC 9113, 8.1 lets it be).
 */
export async function endingWith(answer: Response, whole: Promise<void>): Promise<Response> {
  if (answer.body === null) {
    await whole;
    return answer;
  }
  const reader = answer.body.getReader();
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (to) => {
        const { done, value } = await reader.read();
        if (!done) return to.enqueue(value);
        await whole;
        to.close();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  const { status, statusText, headers } = answer;
  return new Response(body, { status, statusText, headers });
}
