/**
 * An S3 server for tests: s3rver in a process of its own, and before it a proxy of ours that does
 * to requests what networks and providers do: refuses, stalls, resets, repeats, cuts.
 *
 *     await using s3 = await startS3();
 *     s3.fault = ({ method }) => (method === "PUT" ? 500 : null);
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A status to answer with, or what happens to the connection. */
export type Fault =
  | number
  | "stall"
  | "reset"
  | "repeat"
  | "cut request"
  | "cut reply"
  | "late"
  /** It goes on when this resolves. */
  | Promise<void>
  /** It is on the way until `deliver`, whatever becomes of who asked. */
  | "hold";

export interface Asked {
  readonly method: string;
  readonly path: string;
  /** How many requests came before this one. */
  readonly before: number;
}

/** A request as it went; times of this process's clock, milliseconds. */
export interface Went extends Asked {
  readonly atMs: number;
  readonly fault: Fault | null;
  /** When its connection was done with it; null while it is not. */
  endedMs: number | null;
  /** Null when no reply was begun. */
  status: number | null;
}

export interface S3 extends AsyncDisposable {
  /** Of the proxy. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly keyId: string;
  readonly secret: string;
  /** Where the server keeps its objects. */
  readonly directory: string;
  /** Every request that came, in order. */
  readonly asked: Went[];
  /** What to do to a request; null lets it through. */
  fault: (asked: Asked) => Fault | null;
  /** Lets what is on the way arrive; answers how many requests that were. */
  deliver(): Promise<number>;
  /** Makes the environment and configuration that Litestream needs. */
  litestreamEnv(): Record<string, string>;
}

const script = fileURLToPath(new URL("./fixtures/s3-server.mjs", import.meta.url));

/** Starts both. */
export async function startS3(): Promise<S3> {
  const directory = mkdtempSync(join(tmpdir(), "fazt-s3-"));
  const bucket = "replica";
  const node = Bun.which("node") ?? "node";
  const child = Bun.spawn([node, script, directory, bucket], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
    cwd: fileURLToPath(new URL("../", import.meta.url)),
  });
  const upstream = Number(await firstLine(child.stdout));
  const held = new Set<ServerResponse>();
  const onTheWay: (() => Promise<unknown>)[] = [];
  const server = createServer((incoming, reply) => {
    const { method = "", url: path = "" } = incoming;
    const asked = { method, path, before: s3.asked.length };
    const fault = s3.fault(asked);
    const atMs = performance.now();
    const went: Went = { ...asked, atMs, fault, endedMs: null, status: null };
    s3.asked.push(went);
    held.add(reply);
    reply.on("close", () => {
      held.delete(reply);
      went.endedMs = performance.now();
      went.status = reply.headersSent ? reply.statusCode : null;
    });
    void serve({ incoming, reply, upstream, onTheWay }, fault);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const s3: S3 = {
    endpoint: `http://127.0.0.1:${port}`,
    bucket,
    keyId: "S3RVER",
    secret: "S3RVER",
    directory,
    asked: [],
    fault: () => null,
    deliver: async () => {
      const arriving = onTheWay.splice(0);
      for (const arrive of arriving) await arrive();
      return arriving.length;
    },
    litestreamEnv: () => ({ AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" }),
    [Symbol.asyncDispose]: async () => {
      for (const reply of held) reply.destroy();
      server.close();
      child.stdin.end();
      await child.exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return s3;
}

async function firstLine(output: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const piece of output) {
    text += new TextDecoder().decode(piece);
    if (text.includes("\n")) break;
  }
  return text.trim();
}

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly reply: ServerResponse;
  readonly upstream: number;
  readonly onTheWay: (() => Promise<unknown>)[];
}

async function serve(exchange: Exchange, fault: Fault | null): Promise<void> {
  const { incoming, reply } = exchange;
  if (fault === "cut request") {
    // A part of it came through; S3 keeps nothing of that, s3rver would keep the part.
    const cut = () => incoming.socket.destroy();
    incoming.once("data", cut).once("end", cut);
    return;
  }
  const pieces = await Array.fromAsync(incoming as AsyncIterable<Buffer>).catch(() => null);
  // Who asked was killed before all of it was said.
  if (pieces === null) return;
  const body = Buffer.concat(pieces);
  if (fault === null) {
    pass(exchange, body);
    return;
  }
  if (fault === "stall") return;
  if (fault instanceof Promise) await fault;
  if (fault === "hold") {
    exchange.onTheWay.push(() => forward(exchange, body));
    return;
  }
  if (fault === "reset") {
    incoming.socket.destroy();
    return;
  }
  if (typeof fault === "number") {
    reply.writeHead(fault, { "content-type": "application/xml" });
    reply.end(`<Error><Code>Fault${fault}</Code><Message>as asked</Message></Error>`);
    return;
  }
  if (fault === "repeat") await forward(exchange, body);
  const found = await forward(exchange, body).catch(() => null);
  // It was done, and nobody hears of it.
  if (fault === "late" || found === null) {
    incoming.socket.destroy();
    return;
  }
  const { "transfer-encoding": _chunked, connection: _connection, ...headers } = found.headers;
  reply.writeHead(found.status, headers);
  if (fault !== "cut reply") {
    reply.end(found.body);
    return;
  }
  reply.write(found.body.subarray(0, found.body.length >> 1), () => incoming.socket.destroy());
}

/** As it is, and as it comes: an object may be larger than this process should hold. */
function pass({ incoming, reply, upstream }: Exchange, body: Buffer): void {
  const { method, url: path, headers } = incoming;
  const to = { host: "127.0.0.1", port: upstream, method, path, headers, agent: false };
  const outgoing = request(to, (answer) => {
    const { "transfer-encoding": _chunked, connection: _connection, ...kept } = answer.headers;
    reply.writeHead(answer.statusCode ?? 0, kept);
    answer.on("error", () => incoming.socket.destroy());
    answer.pipe(reply);
  });
  outgoing.on("error", () => incoming.socket.destroy());
  outgoing.end(body);
}

interface Found {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

function forward({ incoming, upstream }: Exchange, body: Buffer): Promise<Found> {
  const { method, url: path, headers } = incoming;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: "127.0.0.1", port: upstream, method, path, headers, agent: false },
      async (answer) => {
        const parts = await Array.fromAsync(answer as AsyncIterable<Buffer>);
        const { statusCode: status = 0 } = answer;
        resolve({ status, headers: answer.headers, body: Buffer.concat(parts) });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
