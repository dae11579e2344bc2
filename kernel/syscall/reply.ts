/**
 * Replies and errors as HTTP responses: one JSON value, NDJSON, or bytes. A stream that fails after
 * it began ends with one line `{"error":{…}}`; a stream of bytes is cut, so that nobody takes half
 * a file for a whole one.
 */
import { errnos, SysError } from "../errno.ts";
import type { Reply } from "./dispatch.ts";

const noStore = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

/** An error of any kind as its public response. */
export function errorResponse(
  error: unknown,
  call: string | null,
  override: { status?: number; headers?: Record<string, string> } = {},
): Response {
  const known = publicError(error);
  const headers: Record<string, string> = { ...noStore, ...override.headers };
  if (known.retryAfterMs !== null) {
    headers["retry-after"] = String(Math.max(1, Math.ceil(known.retryAfterMs / 1000)));
  }
  const status = override.status ?? errnos[known.code].status;
  return Response.json({ error: known.toBody(call) }, { status, headers });
}

/** What may be shown: a SysError as it is, anything else as a bare EIO. */
function publicError(error: unknown): SysError {
  return error instanceof SysError ? error : new SysError("EIO", "internal error");
}

/** A reply as its response. */
export function toResponse(reply: Reply, call: string): Response {
  if (reply.kind === "json") return Response.json(reply.value ?? null, { headers: noStore });
  if (reply.kind === "bytes") {
    const { whole, sizeBytes, contentType } = reply.bytes;
    const headers: Record<string, string> = { ...noStore, "content-type": contentType };
    if (sizeBytes !== null) headers["content-length"] = String(sizeBytes);
    return new Response(whole ?? reply.bytes.stream, { headers });
  }
  const headers = { ...noStore, "content-type": "application/x-ndjson" };
  return new Response(ndjson(reply.lines, call), { headers });
}

/** Lines as NDJSON, pulled one at a time; cancelled with the response. */
function ndjson(lines: AsyncIterable<unknown>, call: string): ReadableStream<Uint8Array> {
  const iterator = lines[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  const line = (value: unknown) => encoder.encode(`${JSON.stringify(value)}\n`);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = await iterator.next();
        if (next.done === true) controller.close();
        else controller.enqueue(line(next.value));
      } catch (error) {
        controller.enqueue(line({ error: publicError(error).toBody(call) }));
        controller.close();
      }
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
