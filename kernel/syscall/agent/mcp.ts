/**
 * The MCP bridge: every call as a tool, at `/mcp` (Model Context Protocol, Streamable HTTP).
 *
 * Stateless: each POST carries one JSON-RPC 2.0 message and is answered with one JSON document;
 * there is no session and nothing to resume. Who calls is proven as for any call (`http.ts`), and
 * a caller is shown the tools its grants allow. A refusal of a call is a result with `isError`,
 * because a model should read it and its hint; only a message that is none is an RPC error.
 * Source: modelcontextprotocol.io, revision 2025-06-18.
 */
import { allows, type Caller } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import type { Security } from "../../security/mod.ts";
import type { CallDescription } from "../describe.ts";
import type { Dispatcher, Reply } from "../dispatch.ts";
import { type Channel, identify, jsonInput } from "../http.ts";
import { toolLinesMax, toolLinesMs, toolTextBytesMax } from "../limits.ts";
import { errorResponse } from "../reply.ts";

const revisions = ["2025-06-18", "2025-03-26", "2024-11-05"] as const;

/** JSON-RPC 2.0, 5.1. */
const rpc = { parse: -32700, invalid: -32600, method: -32601, params: -32602 } as const;

type Id = string | number | null;

interface Message {
  readonly id: Id | undefined;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

class RpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const instructions =
  "This is a fazt machine: a personal cloud that runs apps. A tool is a system call: app_ls lists " +
  "the apps, app_deploy deploys, proc_logs reads logs, fs_read reads any file of the tree, such " +
  "as /proc/<app>/status. What is refused says so with an errno and a hint of what to do.";

/** `app.startApp` of the table as a tool's name. */
function toolName({ words }: Pick<CallDescription, "words">): string {
  return words.join("_").replaceAll("-", "_");
}

/** A call as a tool; what it takes beside its input is the argument `body`, a text. */
function toolOf(call: CallDescription): object {
  const { summary, manual, upload, effect, idempotent } = call;
  const { properties = {}, ...schema } = call.input as { properties?: object };
  const body = { type: "string", description: "the bytes of the call, as text" };
  return {
    name: toolName(call),
    description: manual === null ? summary : `${summary}. ${manual}`,
    inputSchema: {
      type: "object",
      ...schema,
      properties: upload ? { ...properties, body } : properties,
    },
    annotations: {
      title: summary,
      readOnlyHint: effect === "read",
      destructiveHint: effect === "destroy",
      idempotentHint: idempotent,
      openWorldHint: false,
    },
  };
}

function readMessage(value: unknown): Message {
  const { jsonrpc, id, method, params } = (value ?? {}) as Partial<Record<string, unknown>>;
  const known = id === undefined || id === null || /^(string|number)$/.test(typeof id);
  if (jsonrpc !== "2.0" || typeof method !== "string" || !known) {
    throw new RpcError(rpc.invalid, "not one JSON-RPC 2.0 message");
  }
  const isObject = typeof params === "object" && params !== null && !Array.isArray(params);
  return { id: id as Id | undefined, method, params: isObject ? { ...params } : {} };
}

/** A reply as text for a model, and as data where it is an object. */
async function contentOf(reply: Reply): Promise<object> {
  if (reply.kind === "json") {
    const { value } = reply;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    const text = JSON.stringify(value ?? null);
    return {
      content: [{ type: "text", text }],
      ...(isObject ? { structuredContent: value } : {}),
    };
  }
  if (reply.kind === "lines") {
    const lines = await some(reply.lines);
    return {
      content: [{ type: "text", text: lines.map((line) => JSON.stringify(line)).join("\n") }],
    };
  }
  const bytes = reply.bytes.whole ?? (await first(reply.bytes.stream));
  const cut = bytes.length >= toolTextBytesMax ? `\n(cut at ${toolTextBytesMax} bytes)` : "";
  try {
    const text = new TextDecoder("utf-8", { fatal: cut === "" }).decode(bytes);
    return { content: [{ type: "text", text: text + cut }] };
  } catch {
    const what = `${bytes.length} bytes that are no text, as base64: ${Buffer.from(bytes).toString("base64")}`;
    return { content: [{ type: "text", text: what }] };
  }
}

/** The first lines of a stream that may have no end. */
async function some(lines: AsyncIterable<unknown>): Promise<unknown[]> {
  const found: unknown[] = [];
  const iterator = lines[Symbol.asyncIterator]();
  const late = AbortSignal.timeout(toolLinesMs);
  const over = new Promise<null>((resolve) => {
    late.addEventListener("abort", () => resolve(null), { once: true });
  });
  while (found.length < toolLinesMax) {
    const next = await Promise.race([iterator.next(), over]);
    if (next === null || next.done === true) break;
    found.push(next.value);
  }
  // A stream that waits for its next line ends when it is left.
  iterator.return?.().catch(() => undefined);
  return found;
}

async function first(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stream) {
    pieces.push(piece);
    size += piece.length;
    if (size >= toolTextBytesMax) break;
  }
  return Buffer.concat(pieces, size).subarray(0, toolTextBytesMax);
}

export interface McpOptions {
  readonly dispatcher: Dispatcher;
  readonly security: Security;
  readonly table: readonly CallDescription[];
  readonly version: string;
}

/** Answers a request to `/mcp`. */
export function createMcp(options: McpOptions) {
  const { dispatcher, security, version } = options;
  const calls = new Map(
    options.table
      .filter(({ surfaces }) => surfaces.includes("http"))
      .map((call) => [toolName(call), call] as const),
  );

  const use = async (caller: Caller, { params }: Message, gone: AbortSignal) => {
    const call = calls.get(String(params["name"]));
    if (call === undefined) throw new RpcError(rpc.params, `no such tool: ${params["name"]}`);
    const { body, ...input } = (params["arguments"] ?? {}) as Record<string, unknown>;
    const sent = call.upload ? { input, body: new Blob([String(body ?? "")]).stream() } : {};
    const asked = call.upload ? sent : { input: body === undefined ? input : { ...input, body } };
    // Whoever makes a stream that has no end must hear that nobody reads it any more.
    const over = new AbortController();
    const signal = AbortSignal.any([gone, over.signal]);
    try {
      return await contentOf(
        await dispatcher.dispatch({ caller, call: call.name, signal, ...asked }),
      );
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      const { code, message, hint } = error.toBody(call.name);
      const text = `${code}: ${message}${hint === null ? "" : `\nhint: ${hint}`}`;
      return { content: [{ type: "text", text }], isError: true };
    } finally {
      over.abort();
    }
  };

  const perform = async (caller: Caller, message: Message, signal: AbortSignal) => {
    switch (message.method) {
      case "initialize": {
        const asked = String(message.params["protocolVersion"]);
        return {
          protocolVersion: revisions.find((one) => one === asked) ?? revisions[0],
          capabilities: { tools: { listChanged: false } },
          serverInfo: { name: "fazt", title: "fazt", version },
          instructions,
        };
      }
      case "ping":
        return {};
      case "tools/list": {
        const mine = [...calls.values()].filter(({ needs }) =>
          allows(caller.grants, needs as "public"),
        );
        return { tools: mine.map(toolOf) };
      }
      case "tools/call":
        return await use(caller, message, signal);
      default:
        throw new RpcError(rpc.method, `no such method: ${message.method}`);
    }
  };

  return async (request: Request, channel: Channel): Promise<Response> => {
    let id: Id = null;
    try {
      if (request.method !== "POST") {
        const refusal = new SysError("EINVAL", "messages are sent with POST: there is no stream");
        return errorResponse(refusal, null, { status: 405, headers: { allow: "POST" } });
      }
      const caller = identify(request, channel, security);
      if (caller.kind === "anonymous") return unknownCaller();
      const message = readMessage(await jsonInput(request));
      // A notification, or an answer to what was never asked: taken, and nothing follows.
      if (message.id === undefined) return new Response(null, { status: 202 });
      id = message.id;
      return rpcResponse({ id, result: await perform(caller, message, request.signal) });
    } catch (error) {
      if (error instanceof RpcError) {
        return rpcResponse({ id, error: { code: error.code, message: error.message } });
      }
      if (error instanceof SysError && error.code === "EINVAL") {
        return rpcResponse({ id, error: { code: rpc.parse, message: error.message } }, 400);
      }
      return errorResponse(error, null);
    }
  };
}

function rpcResponse(body: object, status = 200): Response {
  const headers = { "cache-control": "no-store" };
  return Response.json({ jsonrpc: "2.0", ...body }, { status, headers });
}

function unknownCaller(): Response {
  const refusal = new SysError("ENOKEY", "tools need credentials", {
    hint: "send a token: Authorization: Bearer fazt_… (fazt security token add)",
  });
  const headers = { "www-authenticate": 'Bearer realm="fazt"' };
  return errorResponse(refusal, null, { headers });
}
