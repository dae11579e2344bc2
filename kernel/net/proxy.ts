/**
 * What is done to a request and an answer on their way to and from an app: forwarded headers,
 * hop-by-hop headers, and the limits of bodies.
 *
 * Rules: what a client says of who it is or whom it asked is replaced by what the kernel knows
 * (RFC 7239's and the older names alike); bodies are counted as they flow, never held.
 */
import type { Machine } from "../machine.ts";
import { bodyBytesMax, bodyTimeMsMax, shortBodyBytesMax, uploadBytesMax } from "./limits.ts";
import { type Page, refusals } from "./page.ts";

/** What the kernel knows of a request's origin. */
export interface Origin {
  readonly id: string;
  readonly address: string | null;
  readonly secure: boolean;
}

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

/** Headers of one connection, not of the message (RFC 9110, 7.6.1). */
const hopByHop = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
] as const;

/** Makes a client's headers safe to hand to an app, in place. */
export function forwardHeaders(headers: Headers, origin: Origin, upgrade: boolean): void {
  const host = headers.get("host");
  const connection = headers.get("connection");
  for (const name of [...headers.keys()]) {
    const forged = name.startsWith("x-forwarded-") || name.startsWith("x-fazt-");
    if (forged || claimed.has(name)) headers.delete(name);
  }
  // The handshake is still to be made with these; the app is told of it by other means.
  if (!upgrade && connection !== null) dropHopByHop(headers, connection);
  if (origin.address !== null) {
    headers.set("x-forwarded-for", origin.address);
    headers.set("x-real-ip", origin.address);
  }
  headers.set("x-forwarded-proto", origin.secure ? "https" : "http");
  if (host !== null) headers.set("x-forwarded-host", host);
  headers.set("x-request-id", origin.id);
}

function dropHopByHop(headers: Headers, connection: string): void {
  for (const token of connection.split(",")) {
    const name = token.trim().toLowerCase();
    const vital = name === "host" || name === "content-length" || name === "content-type";
    if (/^[a-z0-9-]+$/.test(name) && !vital) headers.delete(name);
  }
  for (const name of hopByHop) {
    if (name !== "transfer-encoding") headers.delete(name);
  }
}

/** Takes out of an app's answer what only the listener may say. */
export function cleanAnswer(headers: Headers): void {
  for (const name of hopByHop) {
    if (name !== "proxy-authenticate" && headers.has(name)) headers.delete(name);
  }
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

/** A request whose body is being counted. */
export interface Metered {
  readonly request: Request;
  /** Resolves with the refusal when the body passes a limit; else never. */
  readonly refused: Promise<Page> | null;
}

/**
 * Applies the limits to a body: a length that is too large is refused at once (null), a body that
 * is long or of unknown length is counted and timed while it flows.
 */
export function meter(request: Request, machine: Machine): Metered | null {
  const { headers } = request;
  const length = headers.get("content-length");
  const chunked = headers.has("transfer-encoding");
  if (length === null && !chunked) return { request, refused: null };
  const max = bodyAllowance(headers.get("content-type"));
  if (length !== null && Number(length) > max) return null;
  // The listener itself holds a body to its length, and a short one to its time.
  if (!chunked && !isLong(headers, true)) return { request, refused: null };
  return counted(request, max, machine);
}

function counted(request: Request, max: number, machine: Machine): Metered {
  const refusal = Promise.withResolvers<Page>();
  const stop = new AbortController();
  let size = 0;
  const refuse = (page: Page): Error => {
    const error = new Error(page.title);
    refusal.resolve(page);
    stop.abort(error);
    return error;
  };
  const timer = machine.after(bodyTimeMsMax, () => refuse(refusals.tooSlow));
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, out) {
      size += chunk.byteLength;
      if (size > max) out.error(refuse(refusals.tooLarge));
      else out.enqueue(chunk);
    },
    flush: () => timer.cancel(),
  });
  const { signal } = stop;
  signal.addEventListener("abort", () => timer.cancel(), { once: true });
  const body = request.body?.pipeThrough(counter, { signal }) ?? null;
  const headers = request.headers;
  headers.delete("transfer-encoding");
  const both = AbortSignal.any([request.signal, signal]);
  const init = { method: request.method, headers, body, signal: both };
  return { request: new Request(request.url, init), refused: refusal.promise };
}
