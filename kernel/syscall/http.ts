/**
 * The HTTP bridge: `POST /sys/<domain>/<call>` on the OS host and on the control socket.
 *
 * JSON in (the body, or `?input=` for calls that take an upload, whose body is the bytes); JSON,
 * NDJSON or bytes out. Identity: a bearer token, or the session cookie of a same-origin page, or
 * the control socket itself. Errors are `{"error":{code,message,hint,call}}` with the errno's
 * status. No call is decided here: the dispatcher does that.
 */

import { kebab } from "../call.ts";
import { anonymous, type Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Security } from "../security/mod.ts";
import { clearCookie, readCookie, sameOrigin, sessionCookie } from "./cookie.ts";
import type { Dispatcher } from "./dispatch.ts";
import { inputBytesMax, queryInputCharsMax, uploadBytesMax } from "./limits.ts";
import { errorResponse, toResponse } from "./reply.ts";

/** Where a request came in. */
export interface Channel {
  readonly address: string | null;
  /** Whether the connection to the client is encrypted. */
  readonly secure: boolean;
  /** Set on the control socket: whoever can open it is the owner. */
  readonly caller?: Caller;
}

export type HttpBridge = (request: Request, url: URL, channel: Channel) => Promise<Response>;

/** Other paths of the contract, by the call they are. */
const named: Readonly<Record<string, string>> = { "/sys/setup/claim": "security.claim" };

/** Who sent this, by what it carries. A credential that is no good is refused, never ignored. */
export function identify(request: Request, channel: Channel, security: Security): Caller {
  if (channel.caller !== undefined) return channel.caller;
  const header = request.headers.get("authorization");
  if (header !== null) {
    const secret = /^Bearer +(\S+)$/i.exec(header)?.[1];
    const caller =
      secret === undefined
        ? null
        : security.authenticate({ kind: "token", secret }, channel.address);
    if (caller !== null) return caller;
    throw new SysError("EKEYREJECTED", "the token is unknown, expired or removed", {
      hint: "make a new one: fazt security token add",
    });
  }
  const session = readCookie(request.headers, channel.secure);
  if (session === null) return anonymous(channel.address);
  const caller = security.authenticate({ kind: "session", secret: session }, channel.address);
  if (caller === null) return anonymous(channel.address);
  if (!sameOrigin(request, channel.secure)) {
    throw new SysError("EACCES", "this request comes from another site", {
      hint: "send a bearer token instead of the cookie",
    });
  }
  return caller;
}

/** The JSON a request carries. EINVAL, EFBIG. */
export async function jsonInput(request: Request): Promise<unknown> {
  const type = request.headers.get("content-type");
  if (type !== null && !/^application\/json\b/i.test(type)) {
    throw new SysError("EINVAL", `cannot read the input: content type "${type}" is not JSON`, {
      hint: "send Content-Type: application/json",
    });
  }
  if (Number(request.headers.get("content-length") ?? 0) > inputBytesMax) throw tooLarge();
  const text = await readText(request);
  if (text.trim() === "") return {};
  return parseJson(text);
}

/** The body as text, refused as soon as it passes the limit. */
async function readText(request: Request): Promise<string> {
  if (request.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.byteLength;
    if (size > inputBytesMax) throw tooLarge();
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function tooLarge(): SysError {
  return new SysError("EFBIG", `cannot read the input: more than ${inputBytesMax} bytes`, {
    hint: "send large content as an upload",
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SysError("EINVAL", `cannot read the input: ${(error as Error).message}`, {
      hint: "the input is one JSON object",
      cause: error,
    });
  }
}

function uploadInput(request: Request, url: URL, bytesMax: number): unknown {
  const text = url.searchParams.get("input") ?? "{}";
  if (text.length > queryInputCharsMax) throw tooLarge();
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) throw tooMuch(bytesMax);
  return parseJson(text);
}

/** The input of a call, from the body or beside it. EINVAL, EFBIG. */
async function readInput(
  request: Request,
  { url, bytesMax, refused }: { url: URL; bytesMax: number | null; refused: boolean },
): Promise<unknown> {
  if (refused) return {};
  return bytesMax === null ? await jsonInput(request) : uploadInput(request, url, bytesMax);
}

const tooMuch = (bytesMax: number): SysError =>
  new SysError("EFBIG", `cannot take the upload: more than ${bytesMax} bytes`, {
    hint: "send less at once",
  });

/** The body, cut with EFBIG where it passes the limit; one of a known length has been judged by it. */
function boundedBody(request: Request, bytesMax: number): ReadableStream<Uint8Array> | undefined {
  const { body } = request;
  if (body === null) return undefined;
  if (request.headers.has("content-length")) return body;
  let left = bytesMax;
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      left -= piece.byteLength;
      if (left < 0) controller.error(tooMuch(bytesMax));
      else controller.enqueue(piece);
    },
  });
  return body.pipeThrough(count);
}

/** Path → dotted name of the call, or null. */
export function pathIndex(names: Iterable<string>): ReadonlyMap<string, string> {
  const index = new Map(Object.entries(named));
  for (const name of names) index.set(`/sys/${name.split(".").map(kebab).join("/")}`, name);
  return index;
}

/** A login over HTTP: the session secret travels as a cookie and not in the body. */
function withSession(value: unknown, secure: boolean): Response | null {
  if (typeof value !== "object" || value === null || !("session" in value)) return null;
  const { session, ...rest } = value as { session: string; expiresAt: number };
  const response = Response.json(rest, { headers: { "cache-control": "no-store" } });
  response.headers.set("set-cookie", sessionCookie(session, rest.expiresAt, secure));
  return response;
}

/** A logout over HTTP ends the session of the request's own cookie. */
function withCookie(input: unknown, request: Request, channel: Channel): unknown {
  const session = readCookie(request.headers, channel.secure);
  return session === null ? input : { ...(input as object), session };
}

export function createHttpBridge(dispatcher: Dispatcher, security: Security): HttpBridge {
  const index = pathIndex(dispatcher.calls.keys());

  /** How many bytes a call takes beside its input; null when it takes none. */
  const bodyMaxOf = (name: string): number | null => {
    const call = dispatcher.calls.get(name);
    return call?.upload === true ? (call.uploadBytesMax ?? uploadBytesMax) : null;
  };

  /** Whoever is to be refused whatever is said has nothing read of it. */
  const refuses = (caller: Caller, name: string): boolean =>
    caller.kind === "anonymous" && dispatcher.calls.get(name)?.needs !== "public";

  return async (request, url, channel) => {
    const name = index.get(url.pathname) ?? null;
    try {
      if (name === null) {
        throw new SysError("ENOSYS", `no such call: ${url.pathname}`, {
          hint: "GET /sys/openapi.json lists them all",
        });
      }
      if (request.method !== "POST") {
        const refusal = new SysError("EINVAL", `calls are made with POST, not ${request.method}`);
        return errorResponse(refusal, name, { status: 405, headers: { allow: "POST" } });
      }
      const caller = identify(request, channel, security);
      const bytesMax = bodyMaxOf(name);
      const sent = await readInput(request, { url, bytesMax, refused: refuses(caller, name) });
      const input = name === "security.logout" ? withCookie(sent, request, channel) : sent;
      const reply = await dispatcher.dispatch({
        caller,
        call: name,
        input,
        body: bytesMax === null ? undefined : boundedBody(request, bytesMax),
        signal: request.signal,
      });
      if (name === "security.login" && reply.kind === "json") {
        return withSession(reply.value, channel.secure) ?? toResponse(reply, name);
      }
      const response = toResponse(reply, name);
      if (name === "security.logout") {
        response.headers.set("set-cookie", clearCookie(channel.secure));
      }
      return response;
    } catch (error) {
      return errorResponse(error, name);
    }
  };
}
