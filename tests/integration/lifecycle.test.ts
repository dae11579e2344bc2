/** An app is removed, missed, brought back, removed for good. */
import { expect, test } from "bun:test";
import type { Bytes } from "../../kernel/call.ts";
import { type Caller, localOwner } from "../../kernel/caller.ts";
import { SysError } from "../../kernel/errno.ts";
import { deployed, okServer } from "../deployed.ts";
import { type TestKernel, testKernel } from "../kernel.ts";
import { traces } from "../trace.ts";

interface Removed {
  readonly id: string;
  readonly restorableUntil: number | null;
}

const codeOf = async (work: Promise<unknown>) =>
  await work.then(
    () => "OK",
    (error: unknown) => (error instanceof SysError ? error.code : String(error)),
  );

async function furnished(k: TestKernel): Promise<string> {
  const files = { "server.js": okServer, "public/index.html": "page" };
  const { id } = await deployed(k, "blog", { files, manifest: { server: "server.js" } });
  await k.call("storage.kv.set", { app: "blog", key: "k", value: "kept" });
  const body = new Blob(["file"]).stream();
  await k.call("fs.write", { path: "/data/blog/file" }, { body });
  await k.call("app.env.set", { app: "blog", name: "KEY", secret: "s3cret" });
  await k.call("net.route.add", { host: "blog.example.org", app: "blog" });
  await k.call("net.route.add", { host: "example.org/blog", app: "blog" });
  await k.call("net.primary.set", { app: "blog", host: "blog.example.org" });
  await k.call("net.rest.set", { app: "blog" });
  const secret = { secretName: "TOKEN", secret: "s3cret" };
  await k.call("net.egress.allow", { app: "blog", host: "api.example.org", ...secret });
  const { releaseId } = k.kernel.app.get(id);
  const from: Caller = { ...localOwner("socket"), kind: "app", via: "app", appId: id, releaseId };
  await k.call("proc.on", { name: "post.created" }, { from });
  await k.call("proc.schedule", { path: "/remind", afterMs: 3_600_000, id: "later" }, { from });
  return id;
}

/** What the owner has said of an app, and what waits for it. */
async function settings(k: TestKernel, app: string) {
  const { id } = k.kernel.app.get(app);
  const { read } = k.kernel.storage;
  const routes = await k.call<{ appId: string; host: string; origin: string }[]>("net.route.ls");
  const own = routes.filter(({ appId, origin }) => appId === id && origin === "added");
  const hears = "SELECT pattern FROM event_subscription WHERE app_id = ?";
  return [
    own.map(({ host }) => host),
    (await k.call<{ host: string }[]>("net.primary.ls")).map(({ host }) => host),
    (await k.call<{ retryAfterS: number }[]>("net.rest.ls")).map(({ retryAfterS }) => retryAfterS),
    (await k.call<object[]>("net.egress.ls", { app })).map((one) => ({ ...one, app: "" })),
    read.all(hears, id),
    (await k.call<{ id: string | null }[]>("proc.jobs", { app })).map((job) => job.id),
  ];
}

async function contents(k: TestKernel, app: string) {
  const file = await k.call<Bytes>("fs.read", { path: `/data/${app}/file` });
  const meta = { id: "r", address: null, userId: null, upgrade: null };
  const request = new Request(`http://${app}.localhost/`);
  const reply = await k.kernel.proc.fetch(k.kernel.app.get(app), request, meta);
  return [
    (await k.call<{ value: unknown }>("storage.kv.get", { app, key: "k" })).value,
    await new Response(file.stream).text(),
    await k.call("app.env.ls", { app }),
    await reply.text(),
  ];
}

test("what was removed comes back with all it had, under its name or another", async () => {
  await using k = await testKernel();
  const id = await furnished(k);
  const before = await contents(k, "blog");
  const said = await settings(k, "blog");
  expect(said).toMatchObject([
    ["blog.example.org", "example.org/blog"],
    ["blog.example.org"],
    [300],
    [{ host: "api.example.org", state: "allowed", secrets: ["TOKEN"] }],
    [{}],
    ["later"],
  ]);
  const gone = await k.call<Removed>("app.rm", { app: "blog" });
  expect(gone.restorableUntil).toBeGreaterThan(Date.now() + 29 * 86_400_000);
  expect(await codeOf(k.call("app.info", { app: "blog" }))).toBe("ENOENT");
  expect(await k.call<object[]>("app.removed")).toMatchObject([{ name: "blog", id }]);
  await k.call("storage.gc");

  expect(await k.call<object>("app.restore", { app: "blog" })).toMatchObject({ app: "blog", id });
  expect(await contents(k, "blog")).toEqual(before);
  expect(await settings(k, "blog")).toEqual(said);
  expect(await k.call<object[]>("app.removed")).toEqual([]);

  // The name was given away meanwhile.
  await k.call("app.rm", { app: "blog" });
  await deployed(k, "blog", { files: { "index.html": "another" } });
  // And one of its hosts: that one is not its own again.
  await k.call("net.route.add", { host: "blog.example.org", app: "blog" });
  expect(await codeOf(k.call("app.restore", { app: "blog" }))).toBe("EEXIST");
  const input = { app: id, name: "old-blog" };
  expect(await k.call<object>("app.restore", input)).toMatchObject({ app: "old-blog", id });
  expect(await contents(k, "old-blog")).toEqual(before);
  expect((await settings(k, "old-blog"))[0]).toEqual(["example.org/blog"]);
  expect(await k.call<object>("storage.check")).toMatchObject({ ok: true, problems: [] });
}, 60_000);

test("what was removed can be erased for good before its time: no trace is left", async () => {
  await using k = await testKernel();
  const id = await furnished(k);
  await k.call("app.rm", { app: "blog" });
  expect(traces(k.kernel.storage, id).length).toBeGreaterThan(3);
  const gone = await k.call<Removed>("app.rm", { app: "blog", purge: true });
  expect(gone).toMatchObject({ id, restorableUntil: null });
  await k.call("storage.gc");
  expect(traces(k.kernel.storage, id)).toEqual([]);
  expect(await codeOf(k.call("app.restore", { app: id }))).toBe("ENOENT");
}, 60_000);

test("an app that replaces another is found where that one was", async () => {
  await using k = await testKernel();
  const id = await furnished(k);
  const before = await settings(k, "blog");
  const { stream } = await k.call<Bytes>("app.export", { app: "blog" });
  const cartridge = await new Response(stream).blob();
  const mode = "overwrite";
  // Whoever hears of it finds all of it moved: it was in the very write, or a power cut would lose it.
  const tables = ["net_route", "net_primary", "net_rest"];
  const left: string[] = [];
  k.kernel.app.watch(({ kind }) => {
    if (kind !== "removed") return;
    const { read } = k.kernel.storage;
    const rows = (table: string) => read.all(`SELECT 1 FROM ${table} WHERE app_id = ?`, id);
    left.push(...tables.filter((table) => rows(table).length > 0));
  });
  await k.call("app.import", { mode }, { body: cartridge.stream() });
  expect(left).toEqual([]);
  const [routes, primary, rest, egress] = await settings(k, "blog");
  expect([routes, primary, rest]).toEqual(before.slice(0, 3));
  // A stranger's code is not let out because its namesake was.
  expect(egress).toEqual([]);
  const { app } = await k.call<{ app: string }>("app.restore", { app: id, name: "old-blog" });
  expect((await settings(k, app))[0]).toEqual([]);
  expect(await k.call<object>("net.primary.ls")).toMatchObject([{ app: "blog" }]);
  expect(await k.call<object>("net.rest.ls")).toMatchObject([{ app: "blog" }]);
  expect(await k.call<object>("storage.check")).toMatchObject({ ok: true, problems: [] });
}, 60_000);
