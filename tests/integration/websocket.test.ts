/**
 * The WebSocket cases that matter (RFC 6455), by a client of frames, over TLS and through the proxy
 * to an app in its process: fragments, control frames between them, close codes, a megabyte, bytes
 * that are no UTF-8.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { connect, type TLSSocket } from "node:tls";
import { type KernelProcess, startProcess, until } from "../process.ts";

const app = `export default { fetch: (request, context) =>
  context.upgrade(request) ? undefined : new Response("not a socket") };
export const websocket = { message(ws, data) {
  if (data === "close") ws.close(4002, "as you wish"); else ws.send(data); } };
`;

const text = 1;
const binary = 2;
const close = 8;
const ping = 9;
const pong = 10;

interface Frame {
  readonly final: boolean;
  readonly opcode: number;
  readonly data: Buffer;
}

/** A frame as a client sends it: masked (RFC 6455, 5.2). */
function frame(opcode: number, data: Buffer | string, final = true): Buffer {
  const bytes = Buffer.from(data);
  const head = Buffer.alloc(bytes.length < 126 ? 2 : bytes.length < 65_536 ? 4 : 10);
  head[0] = (final ? 0x80 : 0) | opcode;
  head[1] = 0x80 | (bytes.length < 126 ? bytes.length : head.length === 4 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(bytes.length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(bytes.length), 2);
  const mask = randomBytes(4);
  const masked = bytes.map((byte, i) => byte ^ (mask[i % 4] ?? 0));
  return Buffer.concat([head, mask, masked]);
}

/** The first whole frame of what a server has sent, and its length. */
function parse(bytes: Buffer): { frame: Frame; length: number } | null {
  if (bytes.length < 2) return null;
  const [first = 0, second = 0] = bytes;
  const short = second & 0x7f;
  const head = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < head) return null;
  const size =
    short < 126 ? short : head === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (bytes.length < head + size) return null;
  const data = bytes.subarray(head, head + size);
  return { frame: { final: first >= 128, opcode: first & 0x0f, data }, length: head + size };
}

/** A client after its handshake. */
class Client implements Disposable {
  readonly #socket: TLSSocket;
  #bytes = Buffer.alloc(0);
  #ended = false;
  #wake = Promise.withResolvers<void>();

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("data", (data: Buffer) => this.#take(data));
    socket.on("close", () => this.#take(null));
    socket.on("error", () => undefined);
  }

  #take(data: Buffer | null): void {
    if (data === null) this.#ended = true;
    else this.#bytes = Buffer.concat([this.#bytes, data]);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async #until<T>(look: () => T | null): Promise<T | null> {
    for (;;) {
      const found = look();
      if (found !== null || this.#ended) return found;
      await this.#wake.promise;
    }
  }

  async shake(host: string): Promise<void> {
    const key = randomBytes(16).toString("base64");
    const head = ["GET / HTTP/1.1", `Host: ${host}`, "Upgrade: websocket", "Connection: Upgrade"];
    const more = ["Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${key}`, "", ""];
    this.send(Buffer.from([...head, ...more].join("\r\n")));
    const end = await this.#until(() => {
      const at = this.#bytes.indexOf("\r\n\r\n");
      return at < 0 ? null : at;
    });
    expect(this.#bytes.toString("latin1", 0, 12)).toBe("HTTP/1.1 101");
    this.#bytes = this.#bytes.subarray((end ?? 0) + 4);
  }

  send(...parts: Buffer[]): void {
    this.#socket.write(Buffer.concat(parts));
  }

  /** The next frame; null when the connection has ended. */
  async next(): Promise<Frame | null> {
    const found = await this.#until(() => parse(this.#bytes));
    if (found === null) return null;
    this.#bytes = this.#bytes.subarray(found.length);
    return found.frame;
  }

  /** The next message, put together of its frames. */
  async message(): Promise<{ opcode: number; data: Buffer }> {
    const parts: Buffer[] = [];
    let opcode = 0;
    for (;;) {
      const got = await this.next();
      if (got === null) throw new Error("the connection ended");
      opcode ||= got.opcode;
      parts.push(got.data);
      if (got.final) return { opcode, data: Buffer.concat(parts) };
    }
  }

  /** The code the server closes with; null when it ends without one. */
  async closed(): Promise<number | null> {
    for (let got = await this.next(); got !== null; got = await this.next()) {
      if (got.opcode === close) return got.data.length < 2 ? 1005 : got.data.readUInt16BE(0);
    }
    return null;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

let machine: KernelProcess;

async function open(): Promise<Client> {
  const { port } = new URL(machine.ready.https ?? "");
  const ready = Promise.withResolvers<void>();
  const to = { host: "127.0.0.1", port: Number(port), rejectUnauthorized: false };
  const socket = connect({ ...to, ALPNProtocols: ["http/1.1"] }, ready.resolve);
  const client = new Client(socket);
  await ready.promise;
  await client.shake(`echo.localhost:${port}`);
  return client;
}

const code = (value: number, reason = ""): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return frame(close, Buffer.concat([bytes, Buffer.from(reason)]));
};

beforeAll(async () => {
  machine = await startProcess({ args: ["--https", "127.0.0.1:0"] });
  const dir = machine.scratch("echo");
  writeFileSync(`${dir}/server.js`, app);
  await machine.faztJson("app", "deploy", dir, "--name", "echo");
});
afterAll(() => machine[Symbol.asyncDispose]());

describe("messages", () => {
  test("text and bytes come back with their kind; empty ones too", async () => {
    using client = await open();
    client.send(frame(text, "héllo ✓"), frame(binary, Buffer.of(0, 255)), frame(text, ""));
    expect(await client.message()).toEqual({ opcode: text, data: Buffer.from("héllo ✓") });
    expect(await client.message()).toEqual({ opcode: binary, data: Buffer.of(0, 255) });
    expect((await client.message()).data.length).toBe(0);
  });

  test("fragments are one message, with control frames in the middle of it", async () => {
    using client = await open();
    // A character is cut between two fragments: only the whole need be UTF-8.
    const bytes = Buffer.from("fragmentéd");
    const cut = bytes.indexOf(0xc3) + 1;
    client.send(frame(text, bytes.subarray(0, cut), false), frame(ping, "are you there"));
    expect(await client.next()).toEqual({
      final: true,
      opcode: pong,
      data: Buffer.from("are you there"),
    });
    client.send(frame(pong, ""), frame(0, "", false), frame(0, bytes.subarray(cut)));
    expect(await client.message()).toEqual({ opcode: text, data: bytes });
  });

  test("a megabyte, whole and in a thousand fragments", async () => {
    using client = await open();
    const big = randomBytes(1 << 20);
    client.send(frame(binary, big));
    expect((await client.message()).data.equals(big)).toBe(true);
    for (let i = 0; i < 1024; i++) {
      const part = big.subarray(i * 1024, (i + 1) * 1024);
      client.send(frame(i === 0 ? binary : 0, part, i === 1023));
    }
    expect((await client.message()).data.equals(big)).toBe(true);
  });
});

describe("closing", () => {
  test.each([1000, 1001, 1011, 3000, 4999])("a client's %d is answered with it", async (value) => {
    using client = await open();
    client.send(code(value, "enough"));
    expect(await client.closed()).toBe(value);
  });

  test("an app's code and reason reach the client", async () => {
    using client = await open();
    client.send(frame(text, "close"));
    const got = await client.next();
    expect([got?.opcode, got?.data.readUInt16BE(0)]).toEqual([close, 4002]);
    expect(got?.data.subarray(2).toString()).toBe("as you wish");
  });

  test.each([
    ["text that is no UTF-8", [frame(text, Buffer.of(0xc3, 0x28))]],
    ["text that ends within a character", [frame(text, Buffer.of(0x68, 0xe2, 0x82))]],
    ["a surrogate in UTF-8", [frame(text, Buffer.of(0xed, 0xa0, 0x80))]],
    ["fragments that are no UTF-8 together", [frame(text, Buffer.of(0xc3), false), frame(0, "(")]],
    ["a continuation of nothing", [frame(0, "x")]],
    ["a new message within another", [frame(text, "a", false), frame(text, "b")]],
    ["a control frame in fragments", [frame(ping, "x", false)]],
    ["a control frame of 126 bytes", [frame(ping, Buffer.alloc(126))]],
    ["an opcode that does not exist", [frame(3, "x")]],
    ["reserved bits", [Buffer.concat([Buffer.of(0xf1), frame(text, "x").subarray(1)])]],
    ["a frame without mask", [Buffer.of(0x81, 0x01, 0x78)]],
  ])("%s ends the connection, and no app hears of it", async (_name, frames) => {
    using client = await open();
    client.send(...frames);
    // 1002 or 1007 where the listener says why; it may also just hang up.
    expect([1002, 1007, null]).toContain(await client.closed());
    using other = await open();
    other.send(frame(text, "still here"));
    expect((await other.message()).data.toString()).toBe("still here");
  });
});

test("as many WebSockets as the owner says; requests have places of their own", async () => {
  const most = 50;
  await machine.call("net.limit.set", { name: "net.webSocketsMax", value: most });
  const status = () => machine.call<{ webSockets: number }>("net.status");
  await until("those of before are gone", async () => (await status()).webSockets === 0);
  const held: Client[] = [];
  for (let n = 0; n < most; n++) held.push(await open());
  await expect(open()).rejects.toThrow("503");
  expect((await machine.fetch("echo", "/")).status).toBe(200);
  await machine.call("net.limit.set", { name: "net.webSocketsMax" });
  held.push(await open());
  expect((await status()).webSockets).toBe(most + 1);
  for (const client of held) client[Symbol.dispose]();
});
