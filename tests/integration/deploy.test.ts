/**
 * Deploys into a whole kernel, with real processes behind a real listener: the full-stack app in
 * use, real sites byte for byte, and a release that breaks and is never seen.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deploy } from "../../cli/deploy/deploy.ts";
import { refusal } from "../apps.ts";
import { type TestKernel, testKernel } from "../kernel.ts";

const root = new URL("../..", import.meta.url).pathname;
const notes = join(root, "tests/fixtures/apps/notes");

let kernel: TestKernel;
let port: number;
let dir: string;
beforeAll(async () => {
  kernel = await testKernel();
  ({ port } = kernel.kernel.net.listen("127.0.0.1:0", () => new Response("os")));
  dir = mkdtempSync(join(tmpdir(), "fazt-deploy-"));
});
afterAll(async () => {
  await kernel[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const run = (from: string, name?: string) =>
  deploy(
    {
      call: (call, input) => kernel.call(call, input),
      upload: (call, input, body) => kernel.call(call, input, { body }),
    },
    { dir: from, name, build: true },
  );

const request = (host: string, path: string, init: RequestInit = {}) =>
  fetch(`http://127.0.0.1:${port}${path}`, {
    ...init,
    headers: { host: `${host}.localhost`, "content-type": "application/json" },
  });

/** What a chat hears until it has heard `wanted` messages. */
async function chat(host: string, wanted: number): Promise<unknown[]> {
  const options = { headers: { host: `${host}.localhost` } };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/chat`, options);
  const heard: unknown[] = [];
  const done = Promise.withResolvers<void>();
  socket.onerror = () => done.reject(new Error("the socket broke"));
  socket.onopen = () => socket.send("hello there");
  socket.onmessage = ({ data }) => {
    heard.push(JSON.parse(String(data)));
    if (heard.length === wanted) done.resolve();
  };
  await done.promise;
  socket.close();
  return heard;
}

describe("the notes app", () => {
  beforeAll(() => run(notes));

  test("keeps notes in its own SQL volume, over deploys", async () => {
    const init = { method: "POST", body: JSON.stringify({ text: "milk" }) };
    const added = await request("notes", "/api/notes", init);
    expect([added.status, await added.json()]).toMatchObject([201, { id: 1, text: "milk" }]);
    expect(await run(notes)).toMatchObject({ uploadedBytes: 0 });
    expect(await (await request("notes", "/api/notes")).json()).toMatchObject([{ text: "milk" }]);
  });

  test("reads its private files, which nobody else can", async () => {
    expect(await (await request("notes", "/api/private")).text()).toStartWith("Kept in private/");
    for (const path of ["/private/motto.txt", "/server.js", "/app.json"]) {
      expect((await request("notes", path)).status).toBe(404);
    }
  });

  test("chats over a WebSocket", async () => {
    expect(await chat("notes", 2)).toEqual([
      { kind: "people", text: "1" },
      { kind: "said", text: "hello there" },
    ]);
  });

  test("tells the time as it passes", async () => {
    const answer = await request("notes", "/api/clock");
    expect(answer.headers.get("content-type")).toStartWith("text/event-stream");
    const reader = answer.body?.getReader();
    const text = new TextDecoder();
    for (let ticks = 0; ticks < 2; ticks++) {
      const { value } = (await reader?.read()) ?? {};
      expect(text.decode(value)).toMatch(/^event: tick\ndata: \d{4}-.*Z\n\n$/);
    }
    await reader?.cancel();
  });

  test("has the variables that are set, from its next process on", async () => {
    await kernel.call("app.env.set", { app: "notes", name: "GREETING", secret: "psst" });
    await kernel.call("proc.restart", { app: "notes" });
    expect(await (await request("notes", "/api/about")).json()).toMatchObject({ greeting: "psst" });
  });

  test("goes on when a release of it does not start", async () => {
    const broken = join(dir, "broken");
    cpSync(notes, broken, { recursive: true });
    writeFileSync(join(broken, "package.json"), "{}");
    writeFileSync(join(broken, "server.ts"), 'throw new Error("never up");');
    const before = await kernel.call("app.releases", { app: "notes" });
    expect(await refusal(() => run(broken, "notes"))).toMatchObject({ code: "ENOEXEC" });
    expect((await request("notes", "/api/health")).status).toBe(200);
    expect(await kernel.call("app.releases", { app: "notes" })).toEqual(before);
  });

  test("is gone with everything after rm --purge, though it was running", async () => {
    const { id } = await kernel.call<{ id: string }>("app.info", { app: "notes" });
    await kernel.call("app.rm", { app: "notes", purge: true });
    expect((await request("notes", "/")).status).toBe(421);
    const { read } = kernel.kernel.storage;
    for (const table of ["app_app", "app_release", "app_env", "fs_manifest", "storage_kv"]) {
      const found = read.get(`SELECT 1 FROM ${table} WHERE app_id = ?`, id);
      expect([table, found]).toEqual([table, null]);
    }
    await run(notes);
    expect(await (await request("notes", "/api/notes")).json()).toEqual([]);
    expect(await (await request("notes", "/api/about")).json()).toMatchObject({ visits: 1 });
  });
});

describe.each([
  ["swagger", "node_modules/swagger-ui-dist", "**/*.{html,js,css,png,map}"],
  ["monaco", "node_modules/monaco-editor/esm", "**/*"],
] as const)("the built site of %s", (name, from, files) => {
  test("is served byte for byte", async () => {
    const app = join(dir, name);
    cpSync(join(root, from), join(app, "public"), { recursive: true });
    const paths = [...new Bun.Glob(files).scanSync({ cwd: join(app, "public") })];
    const result = await run(app);
    expect(result.files).toBeGreaterThanOrEqual(paths.length);
    expect(paths.length).toBeGreaterThan(10);
    for (const path of paths) {
      const answer = await request(name, `/${path}`);
      const [got, wanted] = [
        await answer.bytes(),
        await Bun.file(join(app, "public", path)).bytes(),
      ];
      expect([path, answer.status, Buffer.compare(got, wanted)]).toEqual([path, 200, 0]);
    }
    expect(await run(app)).toMatchObject({ uploadedBytes: 0, files: result.files });
  }, 60_000);
});
