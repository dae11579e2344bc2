/** The guard at real sockets: half heads, answers nobody reads, caps, denied networks. */
import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { realMachine } from "../../machine.ts";
import type { RequestMeta } from "../../proc/mod.ts";
import { createClients } from "../client/mod.ts";
import { fixture, head, raw, statusOf } from "../fixture.ts";
import { createGuard } from "./guard.ts";
import { chunkFds, endsPerTurn, waitingMax } from "./limits.ts";

const loris = new URL("../../../tests/fixtures/clients/loris.mjs", import.meta.url).pathname;

/** Runs the attack; `said` resolves when it has said a line. */
function attack(port: number, count: number, mode: "head" | "read", request: string) {
  const args = [loris, `${port}`, `${count}`, mode, request];
  const child = Bun.spawn([process.execPath, ...args], { stdout: "pipe", stderr: "inherit" });
  const lines = new Map<string, PromiseWithResolvers<void>>();
  const lineOf = (text: string) => {
    const line = lines.get(text) ?? Promise.withResolvers<void>();
    lines.set(text, line);
    return line;
  };
  const read = async () => {
    let rest = "";
    for await (const chunk of child.stdout) {
      const parts = (rest + Buffer.from(chunk).toString()).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) lineOf(part).resolve();
    }
  };
  void read();
  return {
    said: (text: string) => lineOf(text).promise,
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
    },
  };
}

/** Resolves when the other side has ended the connection. */
const ended = (socket: Socket): Promise<void> => {
  const done = Promise.withResolvers<void>();
  socket.on("error", () => undefined);
  socket.on("close", () => done.resolve());
  socket.resume();
  return done.promise;
};

/** An app that takes every WebSocket and says nothing. */
function agree(_request: Request, meta: RequestMeta): Response {
  const nothing = () => undefined;
  const socket = { message: nothing, close: nothing, drained: nothing, attach: nothing };
  meta.upgrade?.({ headers: new Headers(), socket });
  return new Response(null, { status: 204 });
}

test("2,000 requests that never end: others are answered, the OS host too, and they are ended", async () => {
  await using at = fixture();
  at.put({ name: "blog", files: { "/": "hello" } });
  at.put({ name: "api", serve: () => new Response("x") });
  const many = 2000;
  await using half = attack(
    at.port,
    many,
    "head",
    "GET / HTTP/1.1\\r\\nHost: blog.localhost\\r\\nX-A: ",
  );
  await half.said(`open ${many}`);
  for (const host of ["blog", "api", "os"]) {
    const answer = await raw(at.port, head("GET / HTTP/1.1", `Host: ${host}.localhost`));
    expect(statusOf(answer)).toBe(200);
  }
  await at.net.limits.set("net.headS", 1);
  await half.said(`ended ${many}`);
  expect(at.net.status().ended).toMatchObject({ head: many, read: 0, cap: 0 });
}, 60_000);

test("handshakes that never end: they are ended, and whoever speaks TLS is answered", async () => {
  await using at = fixture();
  at.put({ name: "blog", files: { "/": "hello" } });
  const { port } = await at.net.listenSecure("127.0.0.1:0", () => new Response("os"));
  const many = 300;
  // A record of a handshake: its length is what drips.
  await using half = attack(port, many, "head", "\u0016\u0003\u0001\u0002\u0001");
  await half.said(`open ${many}`);
  const headers = { host: "blog.localhost" };
  const tls = { rejectUnauthorized: false };
  const answer = await fetch(`https://127.0.0.1:${port}/`, { headers, tls } as RequestInit);
  expect([answer.status, await answer.text()]).toEqual([200, "hello"]);
  await at.net.limits.set("net.headS", 1);
  await half.said(`ended ${many}`);
  expect(at.net.status().ended.head).toBe(many);
}, 60_000);

test("many are not ended in one turn: they come back, and all of them would be accepted in one", async () => {
  await using at = fixture();
  const many = 1000;
  const request = "GET / HTTP/1.1\\r\\nHost: blog.localhost\\r\\nX-A: ";
  await using half = attack(at.port, many, "head", request);
  await half.said(`open ${many}`);
  const ended = () => at.net.status().ended.head;
  const turns: number[] = [];
  let before = ended();
  let over = false;
  const look = (): void => {
    if (over) return;
    if (ended() > before) turns.push(ended() - before);
    before = ended();
    setImmediate(look);
  };
  look();
  await at.net.limits.set("net.headS", 1);
  await half.said(`ended ${many}`);
  over = true;
  // A look begins with more of them at once, for nobody may have to be ended; these are few looks.
  expect(turns.filter((count) => count > endsPerTurn).length).toBeLessThanOrEqual(4);
  expect(Math.max(...turns)).toBeLessThanOrEqual(chunkFds);
}, 60_000);

test("who has been answered and is idle stays; who thinks long over a request is left alone", async () => {
  await using at = fixture();
  const go = Promise.withResolvers<void>();
  at.put({
    name: "slow",
    serve: async () => {
      await go.promise;
      return new Response("late");
    },
  });
  await at.net.limits.set("net.headS", 1);
  const idle = connect(at.port, "127.0.0.1");
  idle.write("GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n");
  const slow = raw(at.port, head("GET / HTTP/1.1", "Host: slow.localhost"));
  let gone = false;
  idle.on("close", () => {
    gone = true;
  });
  // Another's half request comes last: when it has been ended, theirs was looked at as often.
  const half = connect(at.port, "127.0.0.1");
  half.write("GET / HTTP");
  await ended(half);
  go.resolve();
  expect(statusOf(await slow)).toBe(200);
  expect(gone).toBe(false);
  idle.destroy();
});

test("an answer that nobody reads is ended, one that is read slowly is not", async () => {
  await using at = fixture();
  const chunk = new Uint8Array(1 << 20);
  const serve = () => {
    let left = 64;
    return new Response(
      new ReadableStream({
        pull: (to) => (left-- > 0 ? to.enqueue(chunk) : to.close()),
      }),
    );
  };
  at.put({ name: "big", serve });
  await at.net.limits.set("net.slowReadS", 2);
  const request = "GET / HTTP/1.1\r\nHost: big.localhost\r\n\r\n";
  const reader = connect(at.port, "127.0.0.1");
  reader.write(request);
  let taken = 0;
  let gone = false;
  reader.on("data", ({ length }) => {
    taken += length;
    reader.pause();
  });
  reader.on("close", () => {
    gone = true;
  });
  // Takes a little, again and again: enough to be somebody who reads.
  const sip = realMachine().every(50, () => reader.resume());
  await using stuck = attack(at.port, 20, "read", request.replaceAll("\r\n", "\\r\\n"));
  await stuck.said("ended 20");
  sip.cancel();
  expect([gone, taken > 0]).toEqual([false, true]);
  expect(at.net.status().ended.read).toBe(20);
  reader.destroy();
}, 60_000);

test("a body that stands still is ended, one that comes slowly is not", async () => {
  await using at = fixture();
  const serve = async (request: Request) => new Response(String((await request.bytes()).length));
  at.put({ name: "up", serve });
  await at.net.limits.set("net.slowReadS", 3);
  const [chunk, count] = ["x".repeat(8192), 20];
  const begun = ["POST / HTTP/1.1", "Host: up.localhost", `Content-Length: ${8192 * count}`];
  const slow = connect(at.port, "127.0.0.1");
  const still = connect(at.port, "127.0.0.1");
  const answer = Promise.withResolvers<string>();
  slow.once("data", (data) => answer.resolve(String(data)));
  for (const socket of [slow, still]) socket.write(`${begun.join("\r\n")}\r\n\r\n${chunk}`);
  let sent = 1;
  const more = realMachine().every(250, () => {
    if (sent++ < count) slow.write(chunk);
  });
  await ended(still);
  expect(statusOf(await answer.promise)).toBe(200);
  more.cancel();
  expect(at.net.status().ended).toMatchObject({ body: 1, head: 0, read: 0 });
  slow.destroy();
}, 30_000);

test("an answer before the end of a body is no leave to stay: the rest has its time, and no more", async () => {
  await using at = fixture();
  const serve = async (request: Request): Promise<Response> => {
    const reader = request.body?.getReader();
    await reader?.read();
    // Such an app wants no more of it, and says so.
    await reader?.cancel();
    return new Response("no");
  };
  at.put({ name: "early", serve });
  await at.net.limits.set("net.headS", 1);
  const socket = connect(at.port, "127.0.0.1");
  const gone = ended(socket);
  const begun = ["POST / HTTP/1.1", "Host: early.localhost", "Transfer-Encoding: chunked"];
  socket.write(`${begun.join("\r\n")}\r\n\r\n3\r\nabc\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  // A byte now and then is what a request that never ends looks like too.
  const drip = realMachine().every(100, () => socket.write("3\r\nabc\r\n"));
  await gone;
  drip.cancel();
  expect(at.net.status().ended.head).toBe(1);
}, 30_000);

test("so many long answers have a place, and no more", async () => {
  await using at = fixture();
  const guard = createGuard({
    machine: realMachine(),
    clients: createClients({ ...at, machine: realMachine(), changed: () => undefined }),
    ports: () => new Map(),
    underWay: () => [],
  });
  const had = Array.from({ length: waitingMax + 1 }, () => guard.takePlace());
  expect(had.lastIndexOf(true)).toBe(waitingMax - 1);
  // Nobody was seen to wait: they are free again.
  guard.touch();
  expect(guard.takePlace()).toBe(true);
  guard.close();
});

test("a WebSocket is not a request that never ends", async () => {
  await using at = fixture();
  await at.net.limits.set("net.headS", 1);
  at.put({ name: "chat", serve: agree });
  const socket = new WebSocket(`ws://127.0.0.1:${at.port}/`, {
    headers: { host: "chat.localhost" },
  } as never);
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  let closed = false;
  socket.addEventListener("close", () => {
    closed = true;
  });
  socket.send("one that has no answer");
  const half = connect(at.port, "127.0.0.1");
  half.write("GET / HTTP");
  await ended(half);
  expect(closed).toBe(false);
  socket.close();
});

const own = Object.values(networkInterfaces())
  .flat()
  .find((info) => info !== undefined && !info.internal && info.family === "IPv4")?.address;
const why = own === undefined ? " (skipped: this machine has no address but loopback)" : "";

test.skipIf(why !== "")(
  `a denied network: its connections end, and no new one is made${why}`,
  async () => {
    await using at = fixture({ bind: "0.0.0.0:0" });
    at.put({ name: "blog", files: { "/": "hello" } });
    const request = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n";
    const dial = () => {
      const socket = connect({ port: at.port, host: own ?? "", localAddress: own ?? "" });
      socket.on("error", () => undefined);
      return socket;
    };
    const answered = (socket: Socket): Promise<string> => {
      const { promise, resolve } = Promise.withResolvers<string>();
      socket.once("data", (data) => resolve(String(data)));
      socket.write(request);
      return promise;
    };
    const before = dial();
    expect(await answered(before)).toStartWith("HTTP/1.1 200");
    const gone = ended(before);
    await at.net.clients.put({ network: own ?? "", verdict: "deny", note: "", forMs: null });
    await gone;
    expect(at.net.status().ended.deny).toBe(1);
    // Dropped without an answer: not even refused.
    const dropped = dial();
    const connected = answered(dropped);
    expect(statusOf(await raw(at.port, head("GET / HTTP/1.1", "Host: blog.localhost")))).toBe(200);
    expect(dropped.connecting).toBe(true);
    // The system asks again by itself, and comes through once it may.
    await at.net.clients.rm(own ?? "");
    expect(await connected).toStartWith("HTTP/1.1 200");
    dropped.destroy();
  },
);

test.skipIf(why !== "")(
  `one client has so many connections at most, others none the less${why}`,
  async () => {
    await using at = fixture({ bind: "0.0.0.0:0" });
    at.put({ name: "blog", files: { "/": "hello" } });
    await at.net.limits.set("net.clientConnectionsMax", 10);
    const made = Array.from({ length: 30 }, () =>
      connect({ port: at.port, host: own ?? "", localAddress: own ?? "" }),
    );
    let gone = 0;
    const enough = Promise.withResolvers<void>();
    for (const socket of made) {
      socket.write("GET / HTTP");
      void ended(socket).then(() => {
        if (++gone === 20) enough.resolve();
      });
    }
    await enough.promise;
    expect(statusOf(await raw(at.port, head("GET / HTTP/1.1", "Host: blog.localhost")))).toBe(200);
    expect(at.net.status().ended.cap).toBeGreaterThanOrEqual(20);
    for (const socket of made) socket.destroy();
  },
);
