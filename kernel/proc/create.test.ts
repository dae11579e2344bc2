/** The whole domain in a booted kernel: what clients see, what the owner says, /proc, the log. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { deployed } from "../../tests/deployed.ts";
import { type TestKernel, testKernel } from "../../tests/kernel.ts";
import type { Bytes } from "../call.ts";
import { meta } from "./fixture.ts";
import type { ProcStatus } from "./proc.ts";

let k: TestKernel;
beforeAll(async () => {
  k = await testKernel();
});
afterAll(() => k[Symbol.asyncDispose]());

const manifest = { server: "server.js" };
const run = (name: string, source: string) =>
  deployed(k, name, { files: { "server.js": source }, manifest });
const ask = (name: string, path = "", headers: Record<string, string> = {}) =>
  k.kernel.proc.fetch(
    k.kernel.app.get(name),
    new Request(`http://${name}.localhost/${path}`, { headers }),
    meta,
  );
const status = (app: string) =>
  k.call<ProcStatus[]>("proc.status", { app }).then(([found]) => found as ProcStatus);

/** The first line of an app's log that matches, now or later. */
async function line(app: string, pattern: RegExp): Promise<{ level: string; text: string }> {
  const leaving = new AbortController();
  const lines = await k.call<AsyncIterable<{ level: string; text: string }>>(
    "proc.logs",
    { app, follow: true },
    { signal: leaving.signal },
  );
  for await (const found of lines) {
    if (!pattern.test(found.text)) continue;
    leaving.abort();
    return found;
  }
  throw new Error("the log ended");
}

const hello = 'export default () => new Response("hello " + (process.env.NAME ?? "you"))';

test("what this host lacks of the sandbox is told with the status, and once in the log", async () => {
  await run("walled", hello);
  const lacks = [...k.kernel.proc.sandbox().lacks];
  expect(await status("walled")).toMatchObject({ lacks });
  const { stream } = await k.call<Bytes>("fs.read", { path: "/sys/health" });
  const word = lacks.length === 0 ? "full" : "reduced";
  expect(await new Response(stream).text()).toMatch(new RegExp(`isolation\\W+${word}`));
  if (lacks.length === 0) return;
  expect((await line("kernel", /this host lacks/)).text).toContain(lacks[0] ?? "");
});

test("a setting that changes while the app starts reaches it all the same", async () => {
  await run("early", `await Bun.sleep(300);\n${hello}`);
  await k.call("proc.kill", { app: "early" });
  const first = ask("early");
  while ((await status("early")).state === "sleeping") await new Promise((t) => setImmediate(t));
  await k.call("app.env.set", { app: "early", name: "NAME", value: "late" });
  await first;
  let reply = "";
  while (reply !== "hello late") reply = await (await ask("early")).text();
});

test("a new name is told to the process, by a fresh one: its events carry it", async () => {
  await run(
    "before",
    `import { kernel } from "fazt";
    export default async () => Response.json(await kernel.proc.on("x", () => 0));`,
  );
  expect(await (await ask("before")).json()).toEqual({ name: "app:before.x" });
  const first = (await status("before")).pid;
  await k.call("app.rename", { app: "before", to: "after" });
  while ((await status("after")).pid === first) await new Promise((go) => setImmediate(go));
  expect(await (await ask("after")).json()).toEqual({ name: "app:after.x" });
});

describe("what clients see", () => {
  test("an app that breaks: 502 with an incident that the log knows", async () => {
    await run("broken", 'export default () => { throw new Error("no table: users"); }');
    const page = await ask("broken", "", { accept: "text/html" });
    expect([page.status, page.headers.get("cache-control")]).toEqual([502, "no-store"]);
    const text = await page.text();
    expect(text).not.toContain("users");
    const [incident = "none"] = /inc_[0-9a-z]+/.exec(text) ?? [];
    expect((await line("broken", new RegExp(incident))).text).toContain("no table: users");
    const json = await ask("broken", "", { accept: "application/json" });
    expect(await json.json()).toMatchObject({ error: { code: "EIO", call: null } });
  });

  test("an app that its owner stopped: 503, also after a reboot, until it is started", async () => {
    await run("stopped", hello);
    expect(await (await ask("stopped")).text()).toBe("hello you");
    expect(await k.call("proc.stop", { app: "stopped" })).toMatchObject({
      state: "stopped",
      pid: null,
    });
    expect((await ask("stopped")).status).toBe(503);
    // Also one that nobody has asked for: it was not stopped some other time.
    await run("unasked", hello);
    expect(await k.call("proc.stop", { app: "unasked" })).toMatchObject({
      state: "stopped",
      reason: "stopped by the owner",
    });
    k = await k.reboot();
    expect((await ask("stopped")).status).toBe(503);
    expect(await status("stopped")).toMatchObject({
      state: "stopped",
      reason: "stopped before this kernel started",
    });
    expect(await k.call("proc.startApp", { app: "stopped" })).toMatchObject({ state: "running" });
    expect(await (await ask("stopped")).text()).toBe("hello you");
  });

  test("an app that crashes while it starts is explained by its status", async () => {
    await run(
      "flaky",
      'if (process.env.BAD) throw new Error("bad"); export default () => new Response("ok")',
    );
    await k.call("app.env.set", { app: "flaky", name: "BAD", value: "1" });
    await k.call("proc.stop", { app: "flaky" });
    expect(await k.call("proc.startApp", { app: "flaky" })).toMatchObject({
      state: "backoff",
      reason: "exited with code 1: error: bad",
    });
    expect((await line("flaky", /starts again in/)).level).toBe("warn");
    await k.call("proc.stop", { app: "flaky" });
  });

  test("bytes that are no protocol end that app and no other", async () => {
    await run(
      "rogue",
      `import { writeSync } from "node:fs";
      export default () => { writeSync(3, new Uint8Array(64).fill(255)); return new Promise(() => {}); }`,
    );
    await run("beside", hello);
    const [rogue, beside] = await Promise.all([ask("rogue"), ask("beside")]);
    expect([rogue.status, await beside.text()]).toEqual([502, "hello you"]);
    expect((await line("rogue", /broke the protocol/)).level).toBe("warn");
    await k.call("proc.stop", { app: "rogue" });
  });
});

describe("the owner's word", () => {
  test("status tells what runs", async () => {
    await run("status", hello);
    await ask("status");
    const found = await status("status");
    expect(found).toMatchObject({ name: "status", state: "running", restarts: 0, requests: 1 });
    expect(found.pid).toBeGreaterThan(1);
    expect(found.rssBytes).toBeGreaterThan(5_000_000);
    const all = await k.call<ProcStatus[]>("proc.ls");
    expect(all.find(({ name }) => name === "status")?.pid).toBe(found.pid);
  });

  test("kill ends the process; restart makes another", async () => {
    await run("kill", hello);
    await ask("kill");
    expect(await k.call("proc.kill", { app: "kill" })).toMatchObject({
      state: "sleeping",
      pid: null,
      reason: "killed by the owner",
    });
    await ask("kill");
    const { pid } = await status("kill");
    const after = await k.call<ProcStatus>("proc.restart", { app: "kill" });
    expect(after.state).toBe("running");
    expect(after.pid).not.toBe(pid);
  });

  test("a changed setting reaches the app without a lost request", async () => {
    await run("setting", hello);
    expect(await (await ask("setting")).text()).toBe("hello you");
    await k.call("app.env.set", { app: "setting", name: "NAME", value: "world" });
    for (let text = ""; text !== "hello world"; ) {
      const reply = await ask("setting");
      expect(reply.status).toBe(200);
      text = await reply.text();
    }
  });

  test("a site without server code is static", async () => {
    await deployed(k, "site", { files: { "public/index.html": "hi" } });
    expect(await status("site")).toMatchObject({ state: "static", pid: null });
  });
});

describe("from inside an app", () => {
  test("the real calls answer: keys, files, itself; nobody else's", async () => {
    await run(
      "calls",
      `import { kernel } from "fazt"; export default async () => {
        await kernel.storage.kv.set({ key: "a", value: { n: 1 } });
        await kernel.fs.write({ path: "/data/note.txt" }, "written");
        const refused = await kernel.proc.stop({ app: "calls" }).catch((error) => error.code);
        const other = await kernel.storage.kv.get({ key: "a", app: "site" }).catch((error) => error.code);
        return Response.json({ key: (await kernel.storage.kv.get({ key: "a" })).value, refused, other,
          file: await (await kernel.fs.read({ path: "/data/note.txt" })).text(),
          name: (await kernel.proc.info()).name }); };`,
    );
    expect(await (await ask("calls")).json()).toEqual({
      key: { n: 1 },
      refused: "EPERM",
      other: "EPERM",
      file: "written",
      name: "calls",
    });
  });
});

describe("/proc and the log", () => {
  const cat = async (path: string) => {
    const { stream } = await k.call<Bytes>("fs.read", { path });
    return await new Response(stream).text();
  };

  test("/proc/<app>/ shows status, limits, names of settings and the log", async () => {
    await run("seen", 'console.log("I am here"); export default () => new Response()');
    await k.call("app.env.set", { app: "seen", name: "API_KEY", secret: "hush" });
    await ask("seen");
    await line("seen", /I am here/);
    expect(await cat("/proc/seen/status")).toContain("state: running\n");
    expect(await cat("/proc/seen/limits")).toContain("memory: 128M\n");
    expect(await cat("/proc/seen/env")).toBe("API_KEY\n");
    expect(await cat("/proc/seen/log")).toMatch(/^\d{4}-\d\d-.*Z info I am here$/m);
    const names = await k.call<{ path: string }[]>("fs.ls", { path: "/proc" });
    expect(names.map(({ path }) => path)).toContain("/proc/seen");
  });

  test("the log is filtered by level, text and age", async () => {
    await run(
      "log",
      `console.log("apple"); console.warn("pear"); console.error("plum");
      export default () => new Response()`,
    );
    await ask("log");
    await line("log", /plum/);
    await line("log", /pear/);
    const texts = async (input: object) => {
      const lines = await k.call<AsyncIterable<{ text: string }>>("proc.logs", {
        app: "log",
        ...input,
      });
      return (await Array.fromAsync(lines, ({ text }) => text)).sort();
    };
    expect(await texts({})).toEqual(["apple", "pear", "plum"]);
    expect(await texts({ level: "warn" })).toEqual(["pear", "plum"]);
    expect(await texts({ grep: "p", level: "error" })).toEqual(["plum"]);
    expect(await texts({ since: "1h", grep: "apple" })).toEqual(["apple"]);
    expect((await texts({ limit: 1 })).length).toBe(1);
  });
});
