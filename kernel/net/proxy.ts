/**
 * What is done to a request on its way to an app: headers that would lie, and limits of bodies.
 *
 * Rules: what a client says of who it is or whom it asked is never handed on (RFC 7239's and the
 * older names alike); bodies are counted as they flow, never held.
 */
import type { Machine } from "../machine.ts";
import { bodyBytesMax, bodyTimeMsMax, shortBodyBytesMax, uploadBytesMax } from "./limits.ts";
import { type Page, refusals } from "./page.ts";

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
}

/** By what a body is timed, and who is told of its end. */
interface Watch {
  readonly machine: Machine;
  /** It has come whole, or never will. */
  ended(): void;
  /** Nobody wants the rest of it: the app has answered without. */
  unread(): void;
}

/**
 * Applies the limits to a body: a length that is too large is refused at once (null), a body that
 * is long or of unknown length is counted and timed while it flows.
 */
export function meter(request: Request, watch: Watch): Metered | null {
  const { headers } = request;
  const length = headers.get("content-length");
  const chunked = headers.has("transfer-encoding");
  if (length === null && !chunked) return { request, refused: null };
  const max = bodyAllowance(headers.get("content-type"));
  if (length !== null && Number(length) > max) return null;
  // Such a body means nothing (RFC 9110, 9.3.1): nobody reads it, so it does not flow, and the app
  // is told of none.
  if (request.method === "GET" || request.method === "HEAD") {
    headers.delete("content-length");
    return { request, refused: null };
  }
  // The listener itself holds a body to its length, and a short one to its time.
  if (!chunked && !isLong(headers, true)) return { request, refused: null };
  return counted(request, max, watch);
}

function counted(request: Request, max: number, { machine, ended, unread }: Watch): Metered {
  const refusal = Promise.withResolvers<Page>();
  const stop = new AbortController();
  let size = 0;
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
  // Why it broke off is told where it is read; that it has is all there is to know here.
  void request.body
    ?.pipeTo(counter.writable, { signal })
    .then(ended, unread)
    .finally(() => timer.cancel());
  const body = request.body === null ? null : counter.readable;
  const headers = request.headers;
  headers.delete("transfer-encoding");
  const both = AbortSignal.any([request.signal, signal]);
  const init = { method: request.method, headers, body, signal: both };
  return { request: new Request(request.url, init), refused: refusal.promise };
}
