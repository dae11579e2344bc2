/**
 * Clients that take a long answer, or apps that take a long upload, as slowly as can be: whoever
 * makes the bytes waits, and the kernel holds little of them. 96 MB here; FAZT_SLOW_MB=1024 for the
 * reader is the long way.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { type KernelProcess, startProcess, until } from "../process.ts";

const mb = 1024 * 1024;
const answerBytes = Number(process.env["FAZT_SLOW_MB"] ?? 96) * mb;
/** An upload may have 100 MB (contract). */
const uploadBytes = 96 * mb;

const server = `
const piece = new Uint8Array(65536).fill(120);
let made = 0;
let taken = 0;
let go = Promise.withResolvers();
export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/counts") return Response.json({ made, taken });
    if (pathname === "/go") { go.resolve(); return new Response("gone"); }
    if (pathname === "/take") {
      await go.promise;
      for await (const bytes of request.body) taken += bytes.length;
      return new Response(String(taken));
    }
    const size = Number(searchParams.get("size"));
    return new Response(new ReadableStream({
      pull(to) {
        if (made >= size) return to.close();
        made += piece.length;
        to.enqueue(piece);
      },
    }, { highWaterMark: 0 }), { headers: { "content-length": String(size) } });
  },
};
`;

let machine: KernelProcess;
beforeAll(async () => {
  machine = await startProcess();
  const dir = machine.scratch("slow");
  writeFileSync(join(dir, "server.ts"), server);
  await machine.faztJson("app", "deploy", dir, "--name", "slow");
}, 60_000);
afterAll(() => machine[Symbol.asyncDispose]());

/** The most memory the kernel has had. */
const peakBytes = (): number =>
  Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${machine.pid}/status`, "utf8"))?.[1]) * 1024;

async function counts(): Promise<{ made: number; taken: number }> {
  return (await (await machine.fetch("slow", "/counts")).json()) as { made: number; taken: number };
}

function open(): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect(machine.port, "127.0.0.1", () => resolve(socket));
  socket.once("error", reject);
  return promise;
}

/** How many bytes of an answer are the app's. */
function countOf(data: Uint8Array): number {
  let count = 0;
  for (const byte of data) if (byte === 120) count++;
  return count;
}

/** A number once it has not moved for twenty looks, which each ask the app something. */
async function still(read: () => number | Promise<number>): Promise<number> {
  let before = -1;
  let looks = 0;
  return await until("nothing moves", async () => {
    await counts();
    const now = await read();
    looks = now === before && now > 0 ? looks + 1 : 0;
    before = now;
    return looks >= 20 ? now : null;
  });
}

test("a client that reads nothing for a while stops the app, and then has every byte", async () => {
  await counts();
  const before = peakBytes();
  const socket = await open();
  let heard = 0;
  let head = "";
  const hear = (data: Buffer): void => {
    // Sizes of chunks are hexadecimal, so that no x is in them.
    if (head.includes("\r\n\r\n")) {
      heard += countOf(data);
      return;
    }
    head += data.toString("latin1");
    const end = head.indexOf("\r\n\r\n");
    if (end >= 0) heard += countOf(Buffer.from(head.slice(end)));
  };
  socket.on("data", (data: Buffer) => {
    hear(data);
    socket.pause();
  });
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const path = `/give?size=${answerBytes}`;
  socket.write(`GET ${path} HTTP/1.1\r\nHost: slow.localhost\r\nConnection: close\r\n\r\n`);
  const made = await still(async () => (await counts()).made);
  expect(made).toBeLessThan(48 * mb);
  socket.removeAllListeners("data");
  socket.on("data", hear);
  socket.resume();
  await ended;
  expect(heard).toBe(answerBytes);
  expect(peakBytes() - before).toBeLessThan(160 * mb);
}, 240_000);

test("an app that reads nothing for a while stops the sender, and then has every byte", async () => {
  await counts();
  const before = peakBytes();
  const socket = await open();
  let said = "";
  socket.on("data", (data: Buffer) => {
    said += data.toString();
  });
  const piece = Buffer.alloc(65_536, 120);
  let given = 0;
  const give = (): void => {
    while (given < uploadBytes) {
      given += piece.length;
      if (!socket.write(piece)) return void socket.once("drain", give);
    }
  };
  const lines = [
    "POST /take HTTP/1.1",
    "Host: slow.localhost",
    "Content-Type: application/octet-stream",
  ];
  lines.push(`Content-Length: ${uploadBytes}`);
  socket.write(`${[...lines, "Connection: close"].join("\r\n")}\r\n\r\n`, give);
  const sent = await still(() => given);
  expect(sent).toBeLessThan(48 * mb);
  await machine.fetch("slow", "/go");
  await until("the app's answer", () => said.includes(`\r\n${uploadBytes}`), 120_000);
  expect((await counts()).taken).toBe(uploadBytes);
  expect(peakBytes() - before).toBeLessThan(160 * mb);
  socket.destroy();
}, 240_000);
