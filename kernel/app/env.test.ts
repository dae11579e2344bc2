/** The environment of an app, through the dispatcher. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { type AppKernel, appKernel, errnoOf, owner, refusal, stored } from "../../tests/apps.ts";
import type { App } from "./app.ts";
import { limits } from "./limits.ts";
import { Manifest } from "./manifest.ts";

let kernel: AppKernel;
let app: App;
beforeEach(async () => {
  kernel = appKernel();
  const files = await stored(kernel.fs, { "index.html": "x" });
  const manifest = Manifest.parse({ env: { A: "from the manifest", B: "kept" } });
  const staged = await kernel.apps.stage(owner, { name: "blog", manifest, files, message: "" });
  app = await kernel.apps.switchTo(staged.release);
});
afterEach(() => kernel[Symbol.asyncDispose]());

const resolved = () => kernel.apps.env.resolve(kernel.apps.release(app.releaseId ?? ""));
const set = (given: Record<string, unknown>) =>
  kernel.call("app.env.set", { app: "blog", ...given });

test("rows go before the manifest's defaults, and are gone when removed", async () => {
  await set({ name: "A", value: "from a row" });
  expect(resolved()).toEqual({ A: "from a row", B: "kept" });
  expect(await kernel.call("app.env.rm", { app: "blog", name: "A" })).toEqual({ name: "A" });
  expect(resolved()).toEqual({ A: "from the manifest", B: "kept" });
});

test("a secret is listed without its value, and a plain value replaces it whole", async () => {
  expect(await set({ name: "KEY", secret: "s3cret" })).toEqual({ name: "KEY", secret: true });
  expect(await kernel.call("app.env.ls", { app: "blog" })).toMatchObject([
    { name: "KEY", secret: true, value: null },
  ]);
  await set({ name: "KEY", value: "" });
  expect(await kernel.call("app.env.ls", { app: "blog" })).toMatchObject([
    { name: "KEY", secret: false, value: "" },
  ]);
  expect(resolved()["KEY"]).toBe("");
});

test("a sealed value opens only where it was sealed", async () => {
  await set({ name: "KEY", secret: "s3cret" });
  await kernel.storage.write((tx) => tx.run("UPDATE app_env SET name = 'OTHER'"));
  expect(await errnoOf(resolved)).toBe("EBADMSG");
});

test.each([
  ["a name of the runtime", "EINVAL", { name: "LD_PRELOAD", value: "x" }],
  ["a lower-case name", "EINVAL", { name: "key", value: "x" }],
  ["a NUL", "EINVAL", { name: "A", value: "x\0y" }],
  ["no value at all", "EINVAL", { name: "A" }],
  ["a value and a secret", "EINVAL", { name: "A", value: "x", secret: "y" }],
  [
    "a value over the limit",
    "EFBIG",
    { name: "A", value: "x".repeat(limits.envValueBytesMax + 1) },
  ],
  ["an app that is not there", "ENOENT", { app: "blgo", name: "A", value: "x" }],
])("refuses %s", async (_name, errno, given) => {
  const error = await refusal(() => set(given));
  expect(error.code).toBe(errno as typeof error.code);
  expect(kernel.apps.env.ls(app.id)).toEqual([]);
});

test("the refused value is in no message", async () => {
  const secret = `${"hush".repeat(10)}\0`;
  const error = await refusal(() => set({ name: "A", secret }));
  expect(JSON.stringify(error.toBody(null))).not.toContain("hush");
});

test("all of a set or nothing, and never more than the limit", async () => {
  const entries = Array.from({ length: limits.envEntriesMax + 1 }, (_, i) => ({
    name: `A_${i}`,
    value: "x",
    secret: false,
  }));
  expect(await errnoOf(() => kernel.apps.env.set(app.id, entries, owner))).toBe("EDQUOT");
  expect(kernel.apps.env.ls(app.id)).toEqual([]);
});

test("removing what is not there says what is near", async () => {
  await set({ name: "GREETING", value: "x" });
  const error = await refusal(() => kernel.call("app.env.rm", { app: "blog", name: "GREETNIG" }));
  expect(error).toMatchObject({ code: "ENOENT", hint: "did you mean GREETING?" });
});

test("a full disk refuses what would grow; removals and rollbacks go on", async () => {
  await set({ name: "OLD", value: "x" });
  await kernel.restart({ limits: { diskUsedMax: 0 } });
  expect(await errnoOf(() => set({ name: "A", value: "x" }))).toBe("ENOSPC");
  expect(await errnoOf(() => kernel.call("app.rename", { app: "blog", to: "b" }))).toBe("ENOSPC");
  expect(kernel.apps.get("blog").name).toBe("blog");
  await kernel.call("app.rollback", { app: "blog", release: "1" });
  await kernel.call("app.env.rm", { app: "blog", name: "OLD" });
  expect(kernel.apps.env.ls(app.id)).toEqual([]);
  await kernel.call("app.rm", { app: "blog", purge: true });
  expect(kernel.storage.read.get("SELECT 1 FROM app_release")).toBeNull();
});
