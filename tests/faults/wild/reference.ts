/**
 * What a strict reader makes of bytes on a connection (RFC 9112), to judge the kernel by: the
 * requests in them, each whole, refused, or not yet at its end.
 *
 * Rules: it takes nothing the RFC lets it refuse; what may be read either way without harm is
 * `either`, and then what is read is still fixed. DEL in a value is none of HTTP's (RFC 9110, 5.5),
 * but the listener takes it, and so does this; it ends nothing.
 */

/** A request as a strict reader has it; header names in lower case. */
export interface Request {
  readonly method: string;
  readonly target: string;
  /** Lower case, without port and final dot; null: none that is valid. */
  readonly host: string | null;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export type Verdict =
  | { readonly kind: "whole" | "either"; readonly request: Request; readonly end: number }
  /** `head`: null when it is the head that is wrong, or not yet whole. */
  | { readonly kind: "refused" | "more"; readonly head: Head | null };

export type Head = Omit<Request, "body">;

const badHead: Verdict = { kind: "refused", head: null };

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const known = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/;
/** Methods of other protocols over HTTP, which the listener may take or not. */
const foreign = /^[A-Z][A-Z-]+$/;

/** The request that begins at `at`, or what is wrong with it. */
export function readRequest(bytes: string, at: number): Verdict {
  const end = bytes.indexOf("\r\n\r\n", at);
  if (end < 0) return { kind: "more", head: null };
  const [line = "", ...fields] = bytes.slice(at, end).split("\r\n");
  const [, method = "", target = "", minor = ""] =
    /^(\S+) ([\x21-\xff]+) HTTP\/1\.([01])$/.exec(line) ?? [];
  if (!token.test(method)) return badHead;
  if (!known.test(method) && !foreign.test(method)) return badHead;
  const path = /^(?:https?:\/\/[^/?#]*)?([/?#].*)?$/i.exec(target);
  if (path === null || (path[1] ?? "/").length === 0) return badHead;
  const headers = readHeaders(fields);
  if (headers === null) return badHead;
  const head = { method, target, host: hostOf(headers.get("host")), headers };
  const body = readBody(bytes, end + 4, { headers, minor });
  if (body === "refused") return { kind: "refused", head };
  if (body === null) return { kind: "more", head };
  const doubtful = !known.test(method) || /[\x7f-\xff#]/.test(target) || headers.has("upgrade");
  const kind = doubtful || body.trailer || minor === "0" ? "either" : "whole";
  return { kind, request: { ...head, body: body.text }, end: body.end };
}

function readHeaders(fields: readonly string[]): Map<string, string> | null {
  const headers = new Map<string, string>();
  for (const field of fields) {
    const [, name = "", value = ""] = /^([^:]+):([\t\x20-\xff]*)$/.exec(field) ?? [];
    if (!token.test(name)) return null;
    const key = name.toLowerCase();
    const before = headers.get(key);
    const text = value.replace(/^[\t ]+|[\t ]+$/g, "");
    // One length said twice may be taken for one (RFC 9110, 8.6).
    if (key === "content-length" && before === text) continue;
    if (before !== undefined && singular.has(key)) return null;
    const joint = key === "cookie" ? "; " : ", ";
    headers.set(key, before === undefined ? text : before + joint + text);
  }
  return headers;
}

const singular = new Set(["host", "content-length", "transfer-encoding"]);

function hostOf(text: string | undefined): string | null {
  const match = /^([a-z0-9_.-]+?)\.?(?::(\d{0,5}))?$/i.exec(text ?? "");
  return match === null || Number(match[2] ?? 0) > 65_535 ? null : (match[1] ?? "").toLowerCase();
}

interface Body {
  readonly text: string;
  readonly end: number;
  readonly trailer: boolean;
}

function readBody(
  bytes: string,
  at: number,
  { headers, minor }: { headers: ReadonlyMap<string, string>; minor: string },
): Body | "refused" | null {
  const length = headers.get("content-length");
  const coding = headers.get("transfer-encoding");
  if (coding !== undefined) {
    const plain = coding.toLowerCase() === "chunked" && length === undefined && minor === "1";
    return plain ? readChunks(bytes, at) : "refused";
  }
  if (length === undefined) return { text: "", end: at, trailer: false };
  if (!/^\d{1,15}$/.test(length)) return "refused";
  const end = at + Number(length);
  return bytes.length < end ? null : { text: bytes.slice(at, end), end, trailer: false };
}

const chunkLine = /^([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

function readChunks(bytes: string, start: number): Body | "refused" | null {
  let text = "";
  for (let at = start; ; ) {
    const line = bytes.indexOf("\r\n", at);
    const digits = chunkLine.exec(bytes.slice(at, line < 0 ? undefined : line));
    if (line < 0) return null;
    if (digits === null) return "refused";
    const size = Number.parseInt(digits[1] ?? "", 16);
    at = line + 2;
    if (size === 0) return readTrailer(bytes, at, text);
    if (bytes.length < at + size + 2) {
      const tail = bytes.slice(at + size);
      return "\r\n".startsWith(tail) ? null : "refused";
    }
    if (bytes.slice(at + size, at + size + 2) !== "\r\n") return "refused";
    text += bytes.slice(at, at + size);
    at += size + 2;
  }
}

/** The listener takes the body for whole before the trailer is, and refuses any trailer's field. */
function readTrailer(bytes: string, at: number, text: string): Body {
  if (bytes.startsWith("\r\n", at)) return { text, end: at + 2, trailer: false };
  return { text, end: bytes.length, trailer: true };
}
