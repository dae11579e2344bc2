/** One process: requests, bodies, streams, output, death; all in the real sandbox. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { realMachine } from "../machine.ts";
import type { AppFailure } from "./exchange.ts";
import { meta, sandbox, stage } from "./fixture.ts";
import { defaultLimits } from "./limits.ts";
import { usageOf } from "./procfs.ts";

const url = "http://test.localhost/";
const get = (path = "") => new Request(url + path);

describe("requests", () => {
  test("hello, with what the app is told of the request", async () => {
    await using place = stage();
    const app = place.spawn(`export default (request, context) => Response.json({
      method: request.method, url: request.url, id: request.headers.get("x-request-id"),
      for: request.headers.get("x-forwarded-for"), proto: request.headers.get("x-forwarded-proto"),
      hop: request.headers.get("connection"), accept: request.headers.get("accept"),
      app: context.app, release: context.release, ip: context.ip, user: context.user })`);
    await app.ready;
    const headers = {
      accept: "a/b",
      connection: "x",
      "x-request-id": "forged",
      "x-forwarded-for": "6.6.6.6",
    };
    const reply = await app.fetch(new Request(`${url}a?b=c`, { headers }), meta);
    expect(reply.status).toBe(200);
    expect(reply.headers.get("content-type")).toBe("application/json;charset=utf-8");
    expect(await reply.json()).toEqual({
      method: "GET",
      url: `${url}a?b=c`,
      id: "req_1",
      for: "192.0.2.7",
      proto: "http",
      hop: null,
      accept: "a/b",
      app: "test",
      release: "rel_1",
      ip: "192.0.2.7",
      user: null,
    });
  });

  test("a string body says what it is; several cookies stay several", async () => {
    await using place = stage();
    const app = place.spawn(`export default { fetch: () => new Response("héllo", { status: 201,
      headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["connection", "close"]] }) }`);
    const reply = await app.ready.then(() => app.fetch(get(), meta));
    expect(reply.status).toBe(201);
    expect(reply.headers.get("content-type")).toBe("text/plain;charset=utf-8");
    expect(reply.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(reply.headers.get("connection")).toBeNull();
    expect(await reply.text()).toBe("héllo");
  });
});

describe("bodies", () => {
  test("a small body goes up and comes back", async () => {
    await using place = stage();
    const app = place.spawn("export default async (request) => new Response(await request.text())");
    await app.ready;
    const reply = await app.fetch(new Request(url, { method: "POST", body: "ping" }), meta);
    expect(await reply.text()).toBe("ping");
  });

  test("both ways at once, piece by piece", async () => {
    await using place = stage();
    const app = place.spawn("export default (request) => new Response(request.body)");
    await app.ready;
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const request = new Request(url, { method: "POST", body: readable });
    const reply = await app.fetch(request, meta);
    const writer = writable.getWriter();
    const reader = reply.body?.getReader();
    for (const word of ["one", "two", "three"]) {
      const writing = writer.write(Buffer.from(word));
      const read = await reader?.read();
      await writing;
      expect(Buffer.from(read?.value ?? []).toString()).toBe(word);
    }
    await writer.close();
    expect((await reader?.read())?.done).toBe(true);
    expect(app.inFlight).toBe(0);
  });

  test("50 MB up and down, whole, with bounded memory", async () => {
    await using place = stage();
    const app = place.spawn("export default (request) => new Response(request.body)");
    await app.ready;
    const piece = Buffer.alloc(1 << 20, "fazt");
    const sent = new Bun.CryptoHasher("sha256");
    let left = 50;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(out) {
          if (left-- === 0) return out.close();
          piece.writeUInt32LE(left);
          sent.update(piece);
          out.enqueue(piece.slice());
        },
      },
      { highWaterMark: 0 },
    );
    const reply = await app.fetch(new Request(url, { method: "POST", body }), meta);
    const got = new Bun.CryptoHasher("sha256");
    let size = 0;
    let most = 0;
    for await (const bytes of reply.body ?? []) {
      got.update(bytes);
      size += bytes.length;
      most = Math.max(most, usageOf(app.pid).rssBytes);
    }
    expect(size).toBe(50 << 20);
    expect(got.digest("hex")).toBe(sent.digest("hex"));
    expect(most).toBeLessThan(110 << 20);
  });

  test("a reader that does not read holds the app back", async () => {
    await using place = stage();
    const app = place.spawn(`let pulled = 0;
      export default (request) => request.url.endsWith("count") ? Response.json(pulled)
        : new Response(new ReadableStream({ pull(out) { pulled++; out.enqueue(new Uint8Array(10000)); } }))`);
    await app.ready;
    const slow = await app.fetch(get(), meta);
    const reader = slow.body?.getReader();
    await reader?.read();
    const count = async () => Number(await (await app.fetch(get("count"), meta)).json());
    let before = -1;
    for (let now = await count(); now !== before; now = await count()) before = now;
    expect(before * 10_000).toBeLessThan(600_000);
    for (let i = 0; i < 60; i++) await reader?.read();
    expect(await count()).toBeGreaterThan(before);
    await reader?.cancel();
  });

  test("events leave as they happen", async () => {
    await using place = stage();
    const app = place.spawn(`let next; export default (request) => {
      if (request.url.endsWith("tick")) { next(); return new Response("ok"); }
      return new Response(new ReadableStream({ start(out) {
        next = () => out.enqueue("data: tick\\n\\n"); } }), { headers: { "content-type": "text/event-stream" } });
    }`);
    await app.ready;
    const events = await app.fetch(get(), meta);
    expect(events.headers.get("content-type")).toBe("text/event-stream");
    const reader = events.body?.getReader();
    for (let i = 0; i < 3; i++) {
      await app.fetch(get("tick"), meta);
      const { value } = (await reader?.read()) ?? {};
      expect(Buffer.from(value ?? []).toString()).toBe("data: tick\n\n");
    }
    await reader?.cancel();
    expect(app.inFlight).toBe(0);
  });

  test("an upload nobody reads does not hold its reply up", async () => {
    await using place = stage();
    const app = place.spawn('export default () => new Response("no", { status: 403 })');
    await app.ready;
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (out) => out.enqueue(new Uint8Array(65_536)),
      cancel: () => {
        cancelled = true;
      },
    });
    const reply = await app.fetch(new Request(url, { method: "POST", body }), meta);
    expect(reply.status).toBe(403);
    expect(await reply.text()).toBe("no");
    while (!cancelled) await new Promise((resolve) => setImmediate(resolve));
  });

  test("the client going aborts the app's signal and its body", async () => {
    await using place = stage();
    const app = place.spawn(`export default (request) => {
      request.signal.addEventListener("abort", () => console.log("aborted"));
      return new Response(new ReadableStream({ pull(out) { out.enqueue("x"); return Bun.sleep(1); },
        cancel() { console.log("cancelled"); } })); }`);
    await app.ready;
    const leaving = new AbortController();
    const reply = await app.fetch(new Request(url, { signal: leaving.signal }), meta);
    await reply.body?.getReader().read();
    leaving.abort();
    await place.line(/aborted/);
    await place.line(/cancelled/);
    expect(app.inFlight).toBe(0);
  });
});

describe("trouble", () => {
  const failure = (promise: Promise<Response>) =>
    promise.then(
      () => null,
      (error: unknown) => error as AppFailure,
    );

  test("a handler that throws costs a 502 and the log a stack, and the app lives", async () => {
    await using place = stage();
    const app = place.spawn(`export default (request) => {
      if (request.url.endsWith("bad")) throw new TypeError("boom");
      if (request.url.endsWith("none")) return undefined;
      return new Response("fine"); }`);
    await app.ready;
    expect((await failure(app.fetch(get("bad"), meta)))?.status).toBe(502);
    expect((await place.line(/boom/)).level).toBe("error");
    expect((await failure(app.fetch(get("none"), meta)))?.message).toContain("Response");
    expect(await (await app.fetch(get(), meta)).text()).toBe("fine");
  });

  test("killed in the middle of a request: 502; in the middle of a body: the body fails", async () => {
    await using place = stage();
    const app = place.spawn(`export default (request) => request.url.endsWith("never")
      ? new Promise(() => {}) : new Response(new ReadableStream({ start(out) { out.enqueue("x"); } }))`);
    await app.ready;
    const streaming = await app.fetch(get(), meta);
    const reader = streaming.body?.getReader();
    await reader?.read();
    const waiting = app.fetch(get("never"), meta);
    process.kill(app.pid ?? 0, "SIGKILL");
    expect((await failure(waiting))?.status).toBe(502);
    expect(reader?.read()).rejects.toThrow("the app");
    expect(await app.exited).toMatch(/SIGKILL|code 137/);
    expect(app.pid).toBeNull();
    expect((await failure(app.fetch(get(), meta)))?.status).toBe(502);
  });

  test("no reply in time is a 504, a long body is none", async () => {
    await using place = stage();
    const app = place.spawn(
      `export default (request) => request.url.endsWith("never") ? new Promise(() => {})
        : new Response(new ReadableStream({ start(out) { out.enqueue("x"); } }))`,
      { limits: { responseTimeoutMs: 50 } },
    );
    await app.ready;
    const streaming = await app.fetch(get(), meta);
    const waiting = app.fetch(get("never"), meta);
    app.expire(performance.now() + 60);
    expect(await failure(waiting)).toMatchObject({ status: 504 });
    // It is over: only the stream is still under way.
    expect(app.inFlight).toBe(1);
    const { value } = (await streaming.body?.getReader().read()) ?? {};
    expect(Buffer.from(value ?? []).toString()).toBe("x");
  });

  test("an uncaught error ends the process with its stack in the log", async () => {
    await using place = stage();
    const app = place.spawn(`export default () => {
      setTimeout(() => { throw new RangeError("later"); }, 1); return new Response("ok"); }`);
    await app.ready;
    await app.fetch(get(), meta);
    expect(await app.exited).toBe("exited with code 1");
    expect((await place.line(/RangeError: later/)).level).toBe("error");
  });

  test("a bundle that does not load is not ready, and says why", async () => {
    await using place = stage();
    const broken = place.spawn('import "./missing.js"; export default () => new Response()');
    expect(broken.ready).rejects.toThrow("exited with code 1");
    await place.line(/missing\.js/);
    const empty = place.spawn("export const nothing = 1");
    expect(empty.ready).rejects.toThrow("exited with code 1");
    await place.line(/no default export/);
  });

  test("one that does not give the processor back is ended", async () => {
    await using place = stage();
    const source = "export default () => { while (true) {} }";
    const stuck = place.spawn(source, { limits: { responseTimeoutMs: 200 } });
    await stuck.ready;
    stuck.fetch(get(), meta).catch(() => undefined);
    let over = false;
    const reason = stuck.exited.finally(() => {
      over = true;
    });
    while (!over) {
      stuck.expire(performance.now());
      await new Promise<void>((resolve) => realMachine().after(10, resolve));
    }
    expect(await reason).toBe("its event loop was blocked for over 0.1 s");
  });

  test("one that only waits is asked whether it is there, and goes on", async () => {
    await using place = stage();
    const waits = place.spawn(`let asked = 0; export default () => asked++ > 0
      ? new Response("alive") : new Promise(() => {})`);
    await waits.ready;
    const sinceMs = realMachine().monotonicMs();
    const silent = waits.fetch(get(), meta).catch((error: AppFailure) => error.status);
    const limitMs = defaultLimits.responseTimeoutMs;
    waits.expire(sinceMs + limitMs / 2 + 1000);
    // What it says to the question comes before its next reply.
    expect(await (await waits.fetch(get(), meta)).text()).toBe("alive");
    waits.expire(sinceMs + limitMs * 2);
    expect(await silent).toBe(504);
    expect(await (await waits.fetch(get(), meta)).text()).toBe("alive");
  });

  test("a start that takes too long is ended", async () => {
    await using place = stage();
    const slow = place.spawn("await new Promise(() => {}); export default () => {}", {
      limits: { startTimeoutMs: 50 },
    });
    expect(slow.ready).rejects.toThrow("not ready within 0.05 s");
    expect(await slow.exited).toBe("not ready within 0.05 s");
  });

  test("ready only when the health path answers 2xx", async () => {
    await using place = stage();
    const app = place.spawn(
      `let asked = 0; export default (request) => new URL(request.url).pathname === "/up"
        ? new Response("", { status: ++asked < 3 ? 503 : 200 }) : Response.json(asked)`,
      { manifest: { health: "/up" } },
    );
    await app.ready;
    expect(await (await app.fetch(get(), meta)).json()).toBe(3);
  });
});

describe("the process", () => {
  test("has the app's environment and nothing else", async () => {
    await using place = stage();
    const app = place.spawn("export default () => Response.json({ ...process.env })", {
      env: { GREETING: "hello" },
    });
    await app.ready;
    expect(await (await app.fetch(get(), meta)).json()).toEqual({ GREETING: "hello" });
  });

  test("has its output logged by line, with levels", async () => {
    await using place = stage();
    const app = place.spawn(`console.log("one\\ntwo"); console.warn("three %d", 3);
      console.error("four"); console.debug("five"); console.info("six");
      process.stdout.write("seven"); export default () => new Response()`);
    await app.ready;
    await app.end();
    const byText = place.logged.map(({ level, text }) => `${level} ${text}`).sort();
    expect(byText).toEqual(
      [
        "debug five",
        "error four",
        "info one",
        "info seven",
        "info six",
        "info two",
        "warn three 3",
      ].sort(),
    );
  });

  test("is explained by what it printed at its end, not long before", async () => {
    await using place = stage();
    const real = realMachine();
    let laterMs = 0;
    const machine = { ...real, monotonicMs: () => real.monotonicMs() + laterMs };
    const app = place.spawn(
      `console.error("error: one that was caught"); export default () => {
        console.log("last"); process.exit(3); }`,
      { machine },
    );
    await app.ready;
    await place.line(/caught/);
    laterMs = 60_000;
    await app.fetch(get(), meta).catch(() => null);
    expect(await app.exited).toBe("exited with code 3");
    expect(app.tail).toEqual(["error: one that was caught", "last"]);
    expect(app.lastWords).toEqual(["last"]);
  });

  test("is explained by all it printed when it never came to serve", async () => {
    await using place = stage();
    const app = place.spawn('console.error("cannot begin"); process.exit(3)');
    expect(await app.exited).toBe("exited with code 3");
    expect(app.lastWords).toEqual(["cannot begin"]);
  });

  test("ends when asked, after its background work", async () => {
    await using place = stage();
    const app = place.spawn(`export default (request, context) => {
      context.waitUntil(Bun.sleep(30).then(() => console.log("done"))); return new Response(); }`);
    await app.ready;
    await app.fetch(get(), meta);
    await app.end();
    expect(place.logged).toEqual([{ level: "info", text: "done" }]);
    expect(await app.exited).toBe("ended by the kernel");
  });

  test("is killed when it does not end", async () => {
    await using place = stage();
    const app = place.spawn(
      "export default (request, context) => { context.waitUntil(new Promise(() => {})); return new Response(); }",
      { limits: { endTimeoutMs: 30 } },
    );
    await app.ready;
    await app.fetch(get(), meta);
    await app.end();
    expect(app.pid).toBeNull();
  });

  test.if(sandbox.kind === "bubblewrap")("cannot see the host or reach a network", async () => {
    await using place = stage();
    const app = place.spawn(`import { readdirSync, writeFileSync } from "node:fs";
      const attempt = (run) => { try { return run(); } catch (error) { return error.code; } };
      export default async () => Response.json({
        root: readdirSync("/").sort(), app: readdirSync("/app"), pids: readdirSync("/proc").filter(Number),
        uid: process.getuid(), write: attempt(() => writeFileSync("/app/x", "")),
        rootWrite: attempt(() => writeFileSync("/x", "")), tmp: attempt(() => writeFileSync("/tmp/x", "")) ?? "ok",
        self: readdirSync("/proc/self").sort(), dev: readdirSync("/dev").sort(),
        fetch: await fetch("http://127.0.0.1/").catch((error) => error.code) })`);
    await app.ready;
    const seen = (await (await app.fetch(get(), meta)).json()) as Record<string, unknown>;
    expect(seen).toMatchObject({
      app: ["server.js"],
      write: "EROFS",
      rootWrite: "EROFS",
    });
    expect(seen).toMatchObject({ tmp: "ok", fetch: "ENOSYS", pids: [] });
    expect(seen["self"]).toEqual(["exe", "maps", "stat", "statm"]);
    expect(seen["dev"]).toEqual(["null", "random", "urandom", "zero"]);
    expect(seen["root"]).not.toContain("etc");
    expect(seen["root"]).not.toContain("root");
  });

  test("does not outlive a kernel that is killed", async () => {
    const script = `const { stage, meta } = await import(${JSON.stringify(`${import.meta.dir}/fixture.ts`)});
      const app = stage().spawn("export default () => new Response()");
      await app.ready; console.log(app.pid); await new Promise(() => { setInterval(() => {}, 1000); });`;
    const kernel = Bun.spawn([process.execPath, "-e", script], {
      stdout: "pipe",
      stderr: "inherit",
    });
    const { value } = await kernel.stdout.getReader().read();
    const pid = Number(Buffer.from(value ?? []).toString());
    expect(pid).toBeGreaterThan(1);
    kernel.kill("SIGKILL");
    await kernel.exited;
    while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setImmediate(resolve));
  });
});
