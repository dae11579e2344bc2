/**
 * The heads of streams: what a request, a reply and a call say before their bodies.
 *
 * Rules: fields are joined by newlines (no header name or value can hold one, RFC 9110, 5.5);
 * headers are pairs in their order, so that several `set-cookie` stay several; headers of one
 * connection do not travel.
 */

/** Sorts of streams and of answers. Append-only. */
export const kind = {
  /** Kernel → app: an HTTP request. */
  request: 1,
  /** Kernel → app: an HTTP request that may become a WebSocket. */
  socket: 2,
  /** App → kernel: a system call; the body is its JSON input, then its upload. */
  call: 3,
  /** Answers. A reply has a body; an accepted socket has messages. */
  reply: 16,
  accepted: 17,
  /** Answers to calls: one JSON value, NDJSON, bytes, or an error as JSON. */
  json: 18,
  lines: 19,
  bytes: 20,
  error: 21,
} as const;

/** A request as it travels; who asks is the kernel's word, beside the headers. */
export interface RequestHead {
  readonly method: string;
  readonly url: string;
  readonly id: string;
  readonly address: string;
  readonly userId: string;
  /** As lines, a name and a value in turn, without `x-request-id`: often those of the last one. */
  readonly headers: string;
}

/** Headers of one hop (RFC 9110, 7.6.1), and those the kernel alone may set. */
function travels(name: string): boolean {
  switch (name) {
    case "connection":
    case "keep-alive":
    case "proxy-connection":
    case "te":
    case "trailer":
    case "transfer-encoding":
    case "upgrade":
    case "x-request-id":
    case "x-forwarded-for":
    case "x-forwarded-proto":
    case "x-forwarded-host":
      return false;
    default:
      return !name.startsWith("x-fazt-");
  }
}

/** The head of a request to an app. */
export function writeRequest(
  request: Request,
  from: {
    id: string;
    address: string | null;
    userId: string | null;
    marks?: Readonly<Record<string, string>>;
    passes?: (name: string) => boolean;
  },
): string {
  const { url } = request;
  const address = from.address ?? "";
  let head = `${request.method}\n${url}\n${from.id}\n${address}\n${from.userId ?? ""}`;
  // Marks first: whoever looks for them looks at the first header only.
  for (const name in from.marks) head += `\n${name}\n${from.marks[name]}`;
  head += `\nx-forwarded-proto\n${url.slice(0, url.indexOf(":"))}`;
  if (address !== "") head += `\nx-forwarded-for\n${address}`;
  const passes = from.passes ?? travels;
  for (const [name, value] of request.headers) {
    if (travels(name) && passes(name)) head += `\n${name}\n${value}`;
    if (name === "host") head += `\nx-forwarded-host\n${value}`;
  }
  return head;
}

export function readRequest(head: string): RequestHead {
  const ends: number[] = [];
  for (let at = -1; ends.length < 5; ends.push(at)) {
    at = head.indexOf("\n", at + 1);
    if (at < 0) at = head.length;
  }
  const [method = 0, url = 0, id = 0, address = 0, userId = 0] = ends;
  return {
    method: head.slice(0, method),
    url: head.slice(method + 1, url),
    id: head.slice(url + 1, id),
    address: head.slice(id + 1, address),
    userId: head.slice(address + 1, userId),
    headers: head.slice(userId + 1),
  };
}

/** Headers from lines, a name and a value in turn. */
export function readHeaders(lines: string): [string, string][] {
  const fields = lines.split("\n");
  const headers: [string, string][] = [];
  for (let i = 0; i + 1 < fields.length; i += 2)
    headers.push([fields[i] ?? "", fields[i + 1] ?? ""]);
  return headers;
}

/** The head of a reply: status and headers. */
export function writeReply(status: number, headers: Headers): string {
  let head = String(status);
  for (const [name, value] of headers) head += `\n${name}\n${value}`;
  return head;
}

/** Status and headers of an app's reply. Throws a plain Error when an app sent nonsense. */
export function readReply(head: string): { status: number; headers: [string, string][] } {
  const fields = head.split("\n");
  const status = Number(fields[0]);
  if (!Number.isInteger(status) || status < 101 || status > 599) {
    throw new Error(`the app answered with status ${JSON.stringify(fields[0]?.slice(0, 20))}`);
  }
  const headers: [string, string][] = [];
  for (let i = 1; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? "";
    if (travels(name)) headers.push([name, fields[i + 1] ?? ""]);
  }
  return { status, headers };
}

/** The head of a call: its name and how many bytes of the body are its input. */
export function writeCall(call: string, inputBytes: number): string {
  return `${call}\n${inputBytes}`;
}

export function readCall(head: string): { call: string; inputBytes: number } {
  const [call = "", size = "0"] = head.split("\n");
  return { call, inputBytes: Number(size) };
}
