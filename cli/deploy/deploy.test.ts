/** Deploys of real folders into a real kernel: what arrives, what is sent, what is refused. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AppKernel, appKernel, owner, refusal } from "../../tests/apps.ts";
import { type DeployOptions, deploy, type Progress } from "./deploy.ts";
import { limits } from "./limits.ts";
import type { Client } from "./upload.ts";

const notes = new URL("../../tests/fixtures/apps/notes", import.meta.url).pathname;

let kernel: AppKernel;
let dir: string;
beforeEach(() => {
  kernel = appKernel();
  dir = mkdtempSync(join(tmpdir(), "fazt-app-"));
});
afterEach(async () => {
  rmSync(dir, { recursive: true, force: true });
  await kernel[Symbol.asyncDispose]();
});

function put(files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dir, path, ".."), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
}

const run = (options: Partial<DeployOptions> = {}, client: Client = kernel.client) =>
  deploy(client, { dir, name: "blog", build: true, ...options });

async function deployed(path: string, name = "blog"): Promise<string> {
  const { stream } = await kernel.fs.read(owner, `/apps/${name}/${path}`, {
    offset: 0,
    length: null,
  });
  return new Response(stream).text();
}

/** Paths of the current release. */
const released = (name = "blog") =>
  kernel.fs.manifests.list(kernel.apps.get(name).releaseId ?? "").map(({ path }) => path);

describe("what is deployed", () => {
  test("of a plain site, everything but what stays behind", async () => {
    put({ "index.html": "hi", "css/a.css": "a", "server.js": "a static one", ".env": "SECRET" });
    put({ "node_modules/x/y.js": "", "drafts/d.html": "", ".faztignore": "drafts/\n" });
    const result = await run();
    expect(result).toMatchObject({ app: "blog", files: 3, uploadedBytes: 15 });
    expect(result.ms).toBeNumber();
    expect(released()).toEqual(["css/a.css", "index.html", "server.js"]);
    expect(kernel.apps.release(result.release).manifest.server).toBeNull();
  });

  test("of an app, its places and one bundle; sources stay here", async () => {
    put({ "app.json": '{"name":"shop"}', "public/index.html": "p", "private/key.txt": "k" });
    put({ "lib/price.ts": "export const price: number = 4711;", "migrations/1.sql": "--" });
    put({
      "server.ts":
        'import { kernel } from "fazt";\nimport { price } from "./lib/price.ts";\n' +
        "export default { fetch: () => new Response(String(price) + String(kernel)) };",
    });
    const result = await run({ name: undefined });
    expect(result.app).toBe("shop");
    expect(released("shop")).toEqual([
      "app.json",
      "migrations/1.sql",
      "private/key.txt",
      "public/index.html",
      "server.js",
    ]);
    const bundle = await deployed("server.js", "shop");
    expect(bundle).toContain("4711");
    expect(bundle).toContain('from "fazt"');
    expect(bundle).toContain("sourceMappingURL=data:");
    expect(bundle).toContain("\n// lib/price.ts\n");
    const map = bundle.slice(bundle.lastIndexOf("base64,") + "base64,".length);
    expect(JSON.parse(Buffer.from(map, "base64").toString()).sources).toEqual([
      "server.ts",
      "lib/price.ts",
    ]);
    expect(kernel.apps.release(result.release).manifest.server).toBe("server.js");
  });

  test("with --no-build, the server as it is", async () => {
    put({ "app.json": '{"server":"dist/main.js"}', "dist/main.js": "export default {};" });
    put({ "package.json": '{"scripts":{"build":"exit 9"}}' });
    await run({ build: false });
    expect(released()).toEqual(["app.json", "dist/main.js"]);
    expect(await deployed("dist/main.js")).toBe("export default {};");
  });

  test("the folder names the app when nobody else does", async () => {
    const named = join(dir, "My First App");
    mkdirSync(named);
    writeFileSync(join(named, "index.html"), "x");
    expect(await run({ dir: named, name: undefined })).toMatchObject({ app: "my-first-app" });
  });

  test("the build script runs first and its output is told", async () => {
    put({
      "package.json":
        '{"scripts":{"build":"mkdir -p public && echo built > public/index.html && echo said"}}',
    });
    const told: Progress[] = [];
    await deploy(kernel.client, { dir, name: "blog", build: true }, (step) => told.push(step));
    expect(await deployed("public/index.html")).toBe("built\n");
    expect(told).toContainEqual({ step: "output", line: "said" });
    expect(told.map(({ step }) => step)).toEqual([
      "build",
      "output",
      "read",
      "upload",
      "upload",
      "switch",
    ]);
  });
});

describe("what is uploaded", () => {
  test("only what the kernel lacks: unchanged is 0 bytes, equal files go once", async () => {
    put({ "index.html": "hello", "copy.html": "hello", "other.html": "other" });
    expect(await run()).toMatchObject({ files: 3, uploadedBytes: 10 });
    expect(await run()).toMatchObject({ files: 3, uploadedBytes: 0 });
    put({ "other.html": "changed" });
    expect(await run()).toMatchObject({ files: 3, uploadedBytes: 7 });
  });

  test("large files go as streams, whole", async () => {
    put({ "index.html": "x", "big.bin": "" });
    truncateSync(join(dir, "big.bin"), limits.wholeBytesMax + 1);
    const names: string[] = [];
    const client: Client = {
      ...kernel.client,
      upload: (name, input, body) => {
        names.push(name);
        return kernel.client.upload(name, input, body);
      },
    };
    expect(await run({}, client)).toMatchObject({ uploadedBytes: limits.wholeBytesMax + 2 });
    expect(names).toEqual(["fs.blob.putMany", "fs.blob.put"]);
    const stat = await kernel.fs.stat(owner, "/apps/blog/big.bin");
    expect(stat.sizeBytes).toBe(limits.wholeBytesMax + 1);
  });

  test("the notes app twice: the same bytes, nothing sent again", async () => {
    const first = await run({ dir: notes, name: undefined });
    expect(first).toMatchObject({ app: "notes" });
    expect(first.uploadedBytes).toBeGreaterThan(100_000);
    const again = await run({ dir: notes, name: undefined });
    expect(again).toMatchObject({ uploadedBytes: 0, files: first.files });
    expect(await deployed("server.js", "notes")).not.toContain('from "hono');
  });

  test("a deploy that is cut leaves the old release, and goes on where it stopped", async () => {
    put({ "index.html": "one" });
    await run();
    put({ "index.html": "two", "big.bin": "" });
    truncateSync(join(dir, "big.bin"), limits.wholeBytesMax + 1);
    const cut: Client = {
      ...kernel.client,
      upload: (name, input, body) => {
        if (name === "fs.blob.put") return Promise.reject(new Error("cable pulled"));
        return kernel.client.upload(name, input, body);
      },
    };
    expect(run({}, cut)).rejects.toThrow("cable pulled");
    expect(await deployed("index.html")).toBe("one");
    expect(await run()).toMatchObject({ uploadedBytes: limits.wholeBytesMax + 1 });
    expect(await deployed("index.html")).toBe("two");
  });
});

describe("what is refused, before anything is sent", () => {
  const silent: Client = {
    call: () => Promise.reject(new Error("the kernel was asked")),
    upload: () => Promise.reject(new Error("the kernel was asked")),
  };

  test.each([
    ["no folder", "ENOENT", {}, { dir: "/nowhere/at/all" }],
    ["a file", "ENOTDIR", {}, { dir: import.meta.path }],
    ["an empty folder", "EINVAL", {}, {}],
    ["app.json that is no JSON", "EINVAL", { "app.json": "{" }, {}],
    ["app.json with an unknown key", "EINVAL", { "app.json": '{"sever":"x"}' }, {}],
    ["a bad --name", "EINVAL", { "index.html": "" }, { name: "My Blog" }],
    [
      "a reserved name",
      "EINVAL",
      { "index.html": "", "app.json": '{"name":"os"}' },
      { name: undefined },
    ],
    ["a server that is not there", "ENOENT", { "app.json": '{"server":"s.ts"}' }, {}],
    ["a server that does not parse", "ENOEXEC", { "server.ts": "export default {" }, {}],
    ["an import that is not there", "ENOEXEC", { "server.ts": 'import "./gone.ts";' }, {}],
    ["TypeScript with --no-build", "EINVAL", { "server.ts": "export {}" }, { build: false }],
    [
      "dependencies that are not installed",
      "ENOENT",
      { "server.ts": "export {}", "package.json": '{"dependencies":{"left-pad-zzz":"1"}}' },
      {},
    ],
    [
      "a failing build",
      "ENOEXEC",
      { "package.json": '{"scripts":{"build":"echo no; exit 7"}}' },
      {},
    ],
    [
      "an app.json of megabytes",
      "EFBIG",
      { "app.json": " ".repeat(limits.settingsBytesMax + 1) },
      {},
    ],
  ] as const)("%s", async (...row) => {
    const [, errno, files, options] = row;
    put(files);
    expect((await refusal(() => run(options, silent))).code).toBe(errno);
  });

  test("messages say where and what to do", async () => {
    put({ "server.ts": 'import "./gone.ts";' });
    expect(await refusal(() => run({}, silent))).toMatchObject({
      message: 'cannot bundle "server.ts": server.ts:1:8: Could not resolve: "./gone.ts"',
    });
    put({ "package.json": '{"scripts":{"build":"echo broken thing; exit 7"}}' });
    expect((await refusal(() => run({}, silent))).message).toEndWith(
      "its build script exited 7\nbroken thing",
    );
    put({ "package.json": '{"dependencies":{"left-pad-zzz":"1"}}' });
    expect(await refusal(() => run({}, silent))).toMatchObject({
      message: `cannot build "${dir}": dependencies are not installed: left-pad-zzz`,
      hint: "run npm install there first",
    });
  });
});
