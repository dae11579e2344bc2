/**
 * From a client through the listener to a real app's process and back: what net and proc promise
 * together, with nothing replaced.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type TestKernel, testKernel } from "../../tests/kernel.ts";
import { Manifest } from "../app/mod.ts";
import { localOwner } from "../caller.ts";
import { bodyOf, head, raw, statusOf } from "./fixture.ts";

const server = `
export default {
  async fetch(request, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "/live") return context.upgrade(request) ? undefined : new Response("no");
    if (pathname === "/headers") return Response.json([...request.headers]);
    if (pathname === "/url") return new Response(request.url);
    if (pathname === "/echo") return new Response(request.body);
    if (pathname === "/rude") return new Response("x", {
      headers: { "transfer-encoding": "chunked", connection: "upgrade", "x-request-id": "forged" } });
    if (pathname === "/cookies") return new Response("x", {
      headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]] });
    if (pathname === "/throw") throw new Error("inner secret");
    if (pathname === "/exit") process.exit(3);
    if (pathname === "/sse") return new Response(new ReadableStream({ async start(to) {
      for (let i = 0; i < 3; i++) { to.enqueue("data: " + i + "\\n\\n"); await Bun.sleep(5); }
      to.close();
    } }), { headers: { "content-type": "text/event-stream" } });
    return new Response(request.method + " " + pathname);
  },
  websocket: {
    message(socket, data) {
      if (data === "leave") socket.close(4003, "told to");
      else if (data === "die") process.exit(3);
      else socket.send(data);
    },
  },
};`;

let at: TestKernel;
let port: number;

beforeAll(async () => {
  at = await testKernel();
  const { fs, app, net } = at.kernel;
  const files = [];
  for (const [path, text] of Object.entries({ "public/a.txt": "file", "server.js": server })) {
    const { hash, sizeBytes } = await fs.blobs.put({ hash: null }, new Blob([text]).stream());
    files.push({ path, hash, sizeBytes, mode: 0o644 });
  }
  const manifest = Manifest.parse({ server: "server.js" });
  const plan = { name: "real", manifest, files, message: "" };
  const { release } = await app.stage(localOwner("boot"), plan);
  await app.switchTo(release);
  port = net.listen("127.0.0.1:0", () => new Response("os")).port;
});
afterAll(() => at[Symbol.asyncDispose]());

const get = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`, {
    ...init,
    headers: { ...(init.headers as Record<string, string>), host: "real.localhost" },
  });
const state = () => at.kernel.proc.status(at.kernel.app.get("real")).state;

describe("a request", () => {
  test("for a file does not wake the process; for the server it does", async () => {
    expect(await (await get("/a.txt")).text()).toBe("file");
    expect(state()).toBe("sleeping");
    expect(await (await get("/x")).text()).toBe("GET /x");
    expect(state()).toBe("running");
  });

  test("tells the app who asked, by the kernel's word alone", async () => {
    const headers = { "x-forwarded-for": "6.6.6.6", "x-real-ip": "6.6.6.6", "x-request-id": "6" };
    const response = await get("/headers", { headers });
    const seen = Object.fromEntries((await response.json()) as [string, string][]);
    expect(JSON.stringify(seen)).not.toContain("6.6.6.6");
    expect(seen).toMatchObject({
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "real.localhost",
      "x-request-id": response.headers.get("x-request-id"),
    });
  });

  test("leaves behind what would lie and what belongs to its connection", async () => {
    const request = head(
      "GET /headers HTTP/1.1",
      "Host: real.localhost",
      "Connection: x-hop, host",
      "X-Hop: 1",
      "X-Stays: 1",
      "X-Fazt-Event: forged",
      "X-Forwarded-Anything: forged",
      "Forwarded: for=forged",
      "True-Client-IP: forged",
    );
    const seen = JSON.parse(bodyOf(await raw(port, request))) as [string, string][];
    const names = seen.map(([name]) => name).sort();
    const own = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"];
    expect(names).toEqual(["host", ...own, "x-stays"]);
    expect(JSON.stringify(seen)).not.toContain("forged");
  });

  test("has an id of its own, in the app and on the reply, whatever is alike", async () => {
    const ids = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const response = await get("/headers");
        const seen = Object.fromEntries((await response.json()) as [string, string][]);
        expect(response.headers.get("x-request-id")).toBe(seen["x-request-id"] ?? "");
        return seen["x-request-id"];
      }),
    );
    expect(new Set(ids).size).toBe(40);
  });

  test("keeps its path byte for byte", async () => {
    const target = "/url/../url?q=%2e%2e/&r=a+b%20c";
    const answer = await raw(port, head(`GET ${target} HTTP/1.1`, "Host: real.localhost"));
    expect(bodyOf(answer)).toBe("http://real.localhost/url?q=%2e%2e/&r=a+b%20c");
    const odd = "/a%2Fb/%41/%E2%82%AC//d";
    const told = await raw(port, head(`GET ${odd} HTTP/1.1`, "Host: real.localhost"));
    expect(bodyOf(told)).toBe(`GET ${odd}`);
  });

  test("HEAD, several cookies, and an app that would speak for the listener", async () => {
    const answer = await raw(port, head("HEAD /x HTTP/1.1", "Host: real.localhost"));
    expect([statusOf(answer), bodyOf(answer)]).toEqual([200, ""]);
    expect((await get("/cookies")).headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    const rude = await raw(port, head("GET /rude HTTP/1.1", "Host: real.localhost"));
    expect(rude.toLowerCase()).not.toContain("forged");
    expect(rude.toLowerCase()).not.toContain("upgrade");
    expect(rude.endsWith("x")).toBe(true);
  });

  test("streams its body both ways", async () => {
    const megabytes = new Uint8Array(5 * 1024 * 1024).fill(7);
    const response = await get("/echo", { method: "POST", body: new Blob([megabytes]).stream() });
    expect(Bun.hash(await response.bytes())).toBe(Bun.hash(megabytes));
    expect(await (await get("/sse")).text()).toBe("data: 0\n\ndata: 1\n\ndata: 2\n\n");
  });

  test("100 at once", async () => {
    const texts = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => (await get(`/n${i}`)).text()),
    );
    expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => `GET /n${i}`));
  });

  test("to an app that breaks is 502 without its inside; the next one is answered", async () => {
    for (const path of ["/throw", "/exit"]) {
      const response = await get(path);
      expect([path, response.status]).toEqual([path, 502]);
      expect(await response.text()).not.toContain("secret");
    }
    // Until the kernel has noticed the exit, requests are refused with 502, as this one was.
    while (state() === "running") await new Promise((resolve) => setImmediate(resolve));
  });
});

describe("a WebSocket", () => {
  const dial = async (): Promise<WebSocket> => {
    const options = { headers: { host: "real.localhost" } };
    const socket = new WebSocket(`ws://127.0.0.1:${port}/live`, options);
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    return socket;
  };
  const closing = (socket: WebSocket): Promise<[number, string]> =>
    new Promise((resolve) => {
      socket.onclose = ({ code, reason }) => resolve([code, reason]);
    });

  test("echoes text, bytes and a megabyte, in order", async () => {
    const socket = await dial();
    const got: (string | number)[] = [];
    const all = new Promise<void>((resolve) => {
      socket.onmessage = ({ data }) => {
        got.push(typeof data === "string" ? data : (data as ArrayBuffer).byteLength);
        if (got.length === 4) resolve();
      };
    });
    socket.send("one");
    socket.send(new Uint8Array(3));
    socket.send(new Uint8Array(1024 * 1024));
    socket.send("");
    await all;
    expect(got).toEqual(["one", 3, 1024 * 1024, ""]);
    const closed = closing(socket);
    socket.send("leave");
    expect(await closed).toEqual([4003, "told to"]);
  });

  test("of an app that dies is closed with 1011", async () => {
    const socket = await dial();
    const closed = closing(socket);
    socket.send("die");
    expect((await closed)[0]).toBe(1011);
  });
});
