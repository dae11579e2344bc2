/**
 * `fetch` inside an app's process: the call `net.fetch`, with the shape of the Fetch standard.
 *
 * Rules: an answer is decoded here, in the process that asked for it; aborting before the head
 * cancels the call, after it the body; what the kernel refuses rejects with KernelError, its errno
 * in `code`, as `fetch` rejects with a TypeError elsewhere.
 */

/** Makes the call and answers its bytes; told by the signal to give up. */
export type Begin = (
  input: Readonly<Record<string, unknown>>,
  upload: ReadableStream<Uint8Array> | undefined,
  signal: AbortSignal,
) => Promise<Response>;

interface Head {
  readonly url: string;
  readonly redirected: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: [string, string][];
}

type Bytes = Uint8Array<ArrayBuffer>;

/** What this file needs of a reader. */
type Reader = {
  read(): Promise<{ readonly done: boolean; readonly value?: Bytes | undefined }>;
  cancel(reason?: unknown): Promise<void>;
};

const bodiless: readonly number[] = [101, 204, 205, 304];
const newline = 10;

/** The names of codings as they are written in headers, and as the runtime calls them. */
const codings: Readonly<Record<string, string>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "brotli",
  zstd: "zstd",
};

/** A `fetch` that makes `begin` calls. */
export function createFetch(begin: Begin): typeof globalThis.fetch {
  const fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input as Request, init);
    const { signal, method, headers } = request;
    signal.throwIfAborted();
    if (!headers.has("accept")) headers.set("accept", "*/*");
    if (!headers.has("accept-encoding")) headers.set("accept-encoding", "gzip, deflate, br, zstd");
    if (!headers.has("user-agent")) headers.set("user-agent", "fazt");
    const asked = {
      url: request.url,
      method,
      headers: [...headers],
      redirect: init?.redirect ?? request.redirect,
      cache: /^(no-store|reload|no-cache)$/.test(init?.cache ?? "") ? "no-store" : "default",
    };
    const reply = await begin(asked, request.body ?? undefined, signal);
    return readAnswer(reply, signal);
  };
  return Object.assign(fetch, { preconnect: () => undefined });
}

async function readAnswer(reply: Response, signal: AbortSignal): Promise<Response> {
  const reader = (reply.body as ReadableStream<Bytes>).getReader();
  const { head, rest } = await readHead(reader);
  const headers = new Headers(head.headers);
  const body = bodiless.includes(head.status) ? null : bodyOf(reader, rest, signal);
  if (body === null) await reader.cancel();
  const coding = codings[headers.get("content-encoding")?.trim().toLowerCase() ?? ""];
  const decoded = body === null || coding === undefined ? body : decode(body, coding);
  if (decoded !== body) {
    headers.delete("content-encoding");
    headers.delete("content-length");
  }
  const { status, statusText, url, redirected } = head;
  const response = new Response(decoded, { status, statusText, headers });
  Object.defineProperty(response, "url", { value: url });
  Object.defineProperty(response, "redirected", { value: redirected });
  return response;
}

function decode(body: ReadableStream<Bytes>, coding: string): ReadableStream<Bytes> {
  const stream = new DecompressionStream(coding as "gzip");
  return body.pipeThrough(stream as unknown as TransformStream<Bytes, Bytes>);
}

/** The first line, and what came with it. */
async function readHead(reader: Reader): Promise<{ head: Head; rest: Bytes }> {
  const pieces: Bytes[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done || value === undefined) throw new TypeError("cannot fetch: the answer was cut off");
    const end = value.indexOf(newline);
    pieces.push(end < 0 ? value : value.subarray(0, end));
    if (end < 0) continue;
    const head = JSON.parse(Buffer.concat(pieces).toString("utf8")) as Head;
    return { head, rest: value.subarray(end + 1) };
  }
}

function bodyOf(reader: Reader, rest: Bytes, signal: AbortSignal): ReadableStream<Bytes> {
  let first: Bytes | null = rest.length > 0 ? rest : null;
  return new ReadableStream<Bytes>(
    {
      start(out) {
        const abort = () => {
          // The kernel's end is let go; the app hears of it by the error.
          reader.cancel(signal.reason).catch(() => undefined);
          out.error(signal.reason);
        };
        signal.addEventListener("abort", abort, { once: true });
      },
      async pull(out) {
        if (first !== null) {
          out.enqueue(first);
          first = null;
          return;
        }
        const { done, value } = await reader.read();
        if (signal.aborted) return;
        if (done) out.close();
        else out.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
