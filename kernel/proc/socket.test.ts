/** WebSockets and system calls between a process and the kernel. */
import { describe, expect, test } from "bun:test";
import { SysError } from "../errno.ts";
import type { Answer } from "./answer.ts";
import { meta, stage } from "./fixture.ts";
import type { AppCall, AppReply, SocketPipe } from "./proc.ts";
import type { AppProcess } from "./process.ts";

const url = "http://test.localhost/";

interface Client {
  readonly pipe: SocketPipe;
  readonly headers: Headers;
  readonly got: (string | Buffer)[];
  /** What `send` answers: whether the client keeps up. */
  keepsUp: boolean;
  closed: { code: number; reason: string } | null;
  /** Resolves when this holds. */
  until(holds: () => boolean): Promise<void>;
}

/** A client's connection as the listener would have it. */
async function connect(app: AppProcess, path = ""): Promise<Client> {
  let heard: (() => void)[] = [];
  const tell = () => {
    const told = heard;
    heard = [];
    for (const run of told) run();
  };
  const upgraded = Promise.withResolvers<{ pipe: SocketPipe; headers: Headers }>();
  const reply = await app.fetch(new Request(url + path, { headers: { upgrade: "websocket" } }), {
    ...meta,
    upgrade: ({ headers, socket }) => {
      upgraded.resolve({ pipe: socket, headers });
      return true;
    },
  });
  expect(reply.status).toBe(101);
  const { pipe, headers } = await upgraded.promise;
  const client: Client = {
    pipe,
    headers,
    got: [],
    keepsUp: true,
    closed: null,
    async until(holds) {
      while (!holds()) await new Promise<void>((resolve) => heard.push(resolve));
    },
  };
  pipe.attach({
    send(data) {
      client.got.push(typeof data === "string" ? data : Buffer.from(data));
      tell();
      return client.keepsUp;
    },
    close(code, reason) {
      client.closed = { code, reason };
      tell();
    },
  });
  return client;
}

describe("WebSockets", () => {
  const echo = `export default { fetch: (request, context) =>
      context.upgrade(request, { data: { name: "echo" }, headers: { "sec-websocket-protocol": "chat" } })
        ? undefined : new Response("not a socket") };
    export const websocket = {
      open(ws) { ws.send("hello " + ws.data.name + " " + ws.remoteAddress); },
      message(ws, data) { if (data === "bye") ws.close(4001, "as you wish"); else ws.send(data); },
      close(ws, code, reason) { console.log("closed", code, reason, ws.readyState); } };`;

  test("text and bytes of every size come back in order, with their kind", async () => {
    await using place = stage();
    const app = place.spawn(echo);
    await app.ready;
    const client = await connect(app);
    expect(client.headers.get("sec-websocket-protocol")).toBe("chat");
    const big = Buffer.alloc(1 << 20, "fazt");
    client.pipe.message("héllo");
    client.pipe.message(new Uint8Array([1, 2, 3]));
    client.pipe.message("");
    client.pipe.message(big);
    client.pipe.message("x".repeat(300_000));
    await client.until(() => client.got.length === 6);
    const [greeting, text, bytes, empty, whole, long] = client.got;
    expect([greeting, text, empty]).toEqual(["hello echo 192.0.2.7", "héllo", ""]);
    expect(bytes).toEqual(Buffer.from([1, 2, 3]));
    expect(Buffer.compare(whole as Buffer, big)).toBe(0);
    expect(long).toBe("x".repeat(300_000));
  });

  test("closing goes both ways with code and reason", async () => {
    await using place = stage();
    const app = place.spawn(echo);
    await app.ready;
    const one = await connect(app);
    one.pipe.message("bye");
    await one.until(() => one.closed !== null);
    expect(one.closed).toEqual({ code: 4001, reason: "as you wish" });
    const two = await connect(app);
    two.pipe.close(4002, "enough");
    await place.line(/closed 4002 enough 3/);
    expect(app.inFlight).toBe(0);
  });

  test("a message over 1 MB closes the session, not the app", async () => {
    await using place = stage();
    const app = place.spawn(echo);
    await app.ready;
    const client = await connect(app);
    client.pipe.message(new Uint8Array((1 << 20) + 1));
    await client.until(() => client.closed !== null);
    expect(client.closed?.code).toBe(1009);
    await place.line(/closed 1009/);
    const other = await connect(app);
    await other.until(() => other.got.length === 1);
  });

  test("an app that dies closes its sockets with 1011", async () => {
    await using place = stage();
    const app = place.spawn(echo);
    await app.ready;
    const client = await connect(app);
    app.kill("the test");
    await client.until(() => client.closed !== null);
    expect(client.closed?.code).toBe(1011);
  });

  test("a request that was not upgraded is answered as any other", async () => {
    await using place = stage();
    const app = place.spawn('export default () => new Response("plain", { status: 426 })');
    await app.ready;
    const reply = await app.fetch(new Request(url), { ...meta, upgrade: () => true });
    expect([reply.status, await reply.text()]).toEqual([426, "plain"]);
  });

  test("a client that does not read holds the app back", async () => {
    await using place = stage();
    const app = place.spawn(`let sent = 0; export default { fetch(request, context) {
        if (request.url.endsWith("count")) return Response.json(sent);
        context.upgrade(request); },
      websocket: { open(ws) { this.fill(ws); }, drain(ws) { this.fill(ws); },
        fill(ws) { while (sent < 100) { sent++; if (ws.send(new Uint8Array(50_000)) === -1) return; } } } }`);
    await app.ready;
    const client = await connect(app);
    client.keepsUp = false;
    await client.until(() => client.got.length > 0);
    const count = async () =>
      Number(await (await app.fetch(new Request(`${url}count`), meta)).json());
    let before = -1;
    for (let now = await count(); now !== before; now = await count()) before = now;
    expect(before).toBeLessThan(20);
    client.keepsUp = true;
    client.pipe.drained();
    await client.until(() => client.got.length === 100);
  });

  test("Hono's own adapter works as it is, topics too", async () => {
    await using place = stage();
    const build = await Bun.build({
      entrypoints: ["/hono-app.js"],
      files: {
        "/hono-app.js": `import { Hono } from "hono"; import { upgradeWebSocket, websocket } from "hono/bun";
          const app = new Hono();
          app.get("/chat", upgradeWebSocket((c) => ({
            onOpen(_event, ws) { ws.raw.subscribe("room"); },
            onMessage(event, ws) { ws.send("you said " + event.data); ws.raw.publish("room", "news"); },
            onClose() { console.log("left"); } })));
          app.get("/", (c) => c.json({ app: c.env.app }));
          export { websocket }; export default app;`,
      },
      target: "bun",
      root: "/",
    } as Bun.BuildConfig);
    const app = place.spawn((await build.outputs[0]?.text()) ?? "");
    await app.ready;
    expect(await (await app.fetch(new Request(url), meta)).json()).toEqual({ app: "test" });
    const one = await connect(app, "chat");
    const two = await connect(app, "chat");
    one.pipe.message("hi");
    await two.until(() => two.got.length > 0);
    expect(one.got).toEqual(["you said hi"]);
    expect(two.got).toEqual(["news"]);
    one.pipe.close(1000, "");
    await place.line(/left/);
  });
});

describe("system calls", () => {
  const ask = async (source: string, answer: Answer) => {
    const place = stage();
    const app = place.spawn(
      `import { kernel, KernelError } from "fazt";
       export default async () => { try { return Response.json(await (async () => { ${source} })()); }
         catch (error) { return Response.json({ error: error.code, message: error.message,
           hint: error.hint, call: error.call, own: error instanceof KernelError }); } };`,
      { answer },
    );
    await using _place = place;
    await app.ready;
    return await (await app.fetch(new Request(url), meta)).json();
  };

  test("a JSON call: its name, its input, who calls", async () => {
    const calls: AppCall[] = [];
    const got = await ask('return await kernel.storage.kv.get({ key: "a" })', async (call) => {
      calls.push(call);
      return { kind: "json", value: { value: 1 } };
    });
    expect(got).toEqual({ value: 1 });
    expect(calls[0]?.call).toBe("storage.kv.get");
    expect(calls[0]?.input).toEqual({ key: "a" });
    expect(calls[0]?.caller).toMatchObject({ kind: "app", appId: "app_test", releaseId: "rel_1" });
  });

  test("a refusal is an error with code and hint; anything else shows nothing", async () => {
    const refusal = await ask("return await kernel.fs.read({})", async () => {
      throw new SysError("ENOENT", "cannot read: no such file", { hint: "look elsewhere" });
    });
    expect(refusal).toEqual({
      error: "ENOENT",
      message: "cannot read: no such file",
      hint: "look elsewhere",
      call: "fs.read",
      own: true,
    });
    const secret = await ask("return await kernel.fs.read({})", async () => {
      throw new Error("secret inside");
    });
    expect(secret).toMatchObject({ error: "EIO" });
    expect(JSON.stringify(secret)).not.toContain("secret");
  });

  test("inputs and replies over one frame", async () => {
    const got = await ask(
      `const reply = await kernel.x({ text: "a".repeat(500_000) }); return reply.length;`,
      async ({ input }) => ({
        kind: "json",
        value: (input as { text: string }).text.repeat(2),
      }),
    );
    expect(got).toBe(1_000_000);
  });

  test("an input over the limit is refused without being sent", async () => {
    const got = await ask(
      'return await kernel.x({ text: "a".repeat(5_000_000) })',
      async (): Promise<AppReply> => ({ kind: "json", value: 1 }),
    );
    expect(got).toMatchObject({ error: "EFBIG" });
  });

  test("bytes up and down", async () => {
    const got = await ask(
      `const reply = await kernel.fs.write({ path: "/data/x" }, new Blob(["up ", new Uint8Array(300_000)]).stream());
       const text = await reply.text(); return [text.length, text.slice(0, 3)];`,
      async ({ body }) => ({ kind: "bytes", bytes: { stream: body } }),
    );
    expect(got).toEqual([300_003, "up "]);
    const small = await ask(
      'return await (await kernel.fs.write({}, "text")).text()',
      async ({ body }) => ({ kind: "bytes", bytes: { stream: body } }),
    );
    expect(small).toBe("text");
    const none = await ask("return await (await kernel.fs.read({})).text()", async ({ body }) => ({
      kind: "bytes",
      bytes: { stream: body },
    }));
    expect(none).toBe("");
  });

  test("lines, to the end and left early", async () => {
    let finished = 0;
    const answer: Answer = async ({ signal }) => ({
      kind: "lines",
      lines: (async function* () {
        try {
          for (let i = 0; i < 100_000 && !signal.aborted; i++) yield { i };
        } finally {
          finished++;
        }
      })(),
    });
    const all = await ask(
      "let n = 0; for await (const { i } of kernel.fs.find({})) n += i; return n",
      answer,
    );
    expect(all).toBe((99_999 * 100_000) / 2);
    const some = await ask(
      "for await (const { i } of await kernel.fs.find({})) if (i === 10) return i",
      answer,
    );
    expect(some).toBe(10);
    while (finished < 2) await new Promise((resolve) => setImmediate(resolve));
  });

  test("many at once, each answered with its own", async () => {
    const got = await ask(
      "return await Promise.all(Array.from({ length: 200 }, (_, i) => kernel.echo({ i })))",
      async ({ input }) => ({ kind: "json", value: (input as { i: number }).i }),
    );
    expect(got).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  test("too many at once are EAGAIN", async () => {
    const waiting: (() => void)[] = [];
    const got = await ask(
      `const all = Array.from({ length: 300 }, (_, i) => kernel.wait({ i }).catch((error) => error.code));
       const first = await Promise.race(all); kernel.go({}).catch(() => {}); return first;`,
      ({ call }) =>
        new Promise((resolve) => {
          if (call === "go") for (const run of waiting) run();
          else waiting.push(() => resolve({ kind: "json", value: null }));
        }),
    );
    expect(got).toBe("EAGAIN");
  });

  test("large inputs share a bounded room; what does not fit is EAGAIN", async () => {
    const got = await ask(
      `const text = "a".repeat(3_000_000);
       const all = Array.from({ length: 20 }, () => kernel.size({ text }).catch((error) => error.code));
       const first = await Promise.all(all); return [...new Set(first), await kernel.size({ text })];`,
      async ({ input }) => ({ kind: "json", value: (input as { text: string }).text.length }),
    );
    expect(got).toContain("EAGAIN");
    expect((got as unknown[]).at(-1)).toBe(3_000_000);
  });

  test("a call whose app is gone is aborted", async () => {
    const started = Promise.withResolvers<AppCall>();
    await using place = stage();
    const app = place.spawn(
      'import { kernel } from "fazt"; export default () => kernel.wait({}).then(() => new Response())',
      {
        answer: (call) => {
          started.resolve(call);
          return new Promise(() => undefined);
        },
      },
    );
    await app.ready;
    app.fetch(new Request(url), meta).catch(() => undefined);
    const { signal } = await started.promise;
    app.kill("the test");
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    expect(signal.aborted).toBe(true);
  });
});

describe("the SQL volume", () => {
  const source = `import { kernel } from "fazt";
    const db = kernel.storage.sql(); db.run("CREATE TABLE IF NOT EXISTS note (text TEXT)");
    export default async (request) => { const text = await request.text();
      if (text !== "") db.run("INSERT INTO note VALUES (?)", [text]);
      return Response.json({ notes: db.query("SELECT text FROM note").values().flat(),
        same: kernel.storage.sql() === db, mode: db.query("PRAGMA journal_mode").values()[0][0],
        sync: db.query("PRAGMA synchronous").values()[0][0] }); };`;

  test("survives a restart and a kill; is durable", async () => {
    await using place = stage();
    const add = async (app: AppProcess, body: string) => {
      await app.ready;
      const reply = await app.fetch(new Request(url, { method: "POST", body }), meta);
      return await reply.json();
    };
    const one = place.spawn(source);
    expect(await add(one, "first")).toEqual({
      notes: ["first"],
      same: true,
      mode: "wal",
      sync: 2,
    });
    await one.end();
    const two = place.spawn(source);
    await add(two, "second");
    two.kill("the test");
    await two.exited;
    const three = place.spawn(source);
    expect(await add(three, "")).toMatchObject({ notes: ["first", "second"] });
  });
});
