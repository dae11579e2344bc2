/**
 * The calls of net through the dispatcher, and apps' files through the listener, over the real
 * storage, security, fs and app domains. Only the processes are left out; nothing here wakes one.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrations as appMigrations, createApps, Manifest } from "../app/mod.ts";
import { anonymous, type Caller, localOwner } from "../caller.ts";
import { createFs, migrations as fsMigrations } from "../fs/mod.ts";
import type { Kernel } from "../kernel.ts";
import { realMachine } from "../machine.ts";
import type { Proc } from "../proc/mod.ts";
import { createSecurity, migrations as securityMigrations } from "../security/mod.ts";
import { createStorage, type StorageLimits } from "../storage/mod.ts";
import { createDispatcher } from "../syscall/mod.ts";
import { net as tree } from "./calls.ts";
import { routesMax } from "./limits.ts";
import { createNet, migrations, type RouteInfo } from "./mod.ts";

const owner = localOwner("socket");
const machine = realMachine();
let dataDir: string;
let at: ReturnType<typeof open>;

function open(limits: Partial<StorageLimits> = {}) {
  const schema = [...securityMigrations, ...fsMigrations, ...appMigrations, ...migrations];
  const storage = createStorage({ machine, dataDir, migrations: schema, limits });
  const security = createSecurity({ machine, storage, dataDir });
  const fs = createFs({ machine, storage });
  const app = createApps({ machine, storage, fs, security });
  const proc = { answers: () => undefined } as Pick<Proc, "answers"> as Proc;
  const net = createNet({ machine, storage, apps: app, proc, security });
  const parts = { machine, version: "0", storage, security, fs, app, net };
  const dispatcher = createDispatcher(parts as unknown as Kernel, { net: tree });
  return { ...parts, dispatcher };
}

/** Deploys files by path. */
async function deploy(name: string, files: Record<string, string>, manifest: object = {}) {
  const stored = [];
  for (const [path, text] of Object.entries(files)) {
    const { hash, sizeBytes } = await at.fs.blobs.put({ hash: null }, new Blob([text]).stream());
    stored.push({ path, hash, sizeBytes, mode: 0o644 });
  }
  const plan = { name, manifest: Manifest.parse(manifest), files: stored, message: "" };
  const { release } = await at.app.stage(owner, plan);
  return at.app.switchTo(release);
}

async function make<T>(name: string, input: object = {}, caller: Caller = owner): Promise<T> {
  const reply = await at.dispatcher.dispatch({ caller, call: `net.${name}`, input });
  return (reply.kind === "json" ? reply.value : null) as T;
}

const refused = (name: string, input: object, caller: Caller = owner): Promise<string | null> =>
  make(name, input, caller).then(
    () => null,
    (error: { code: string }) => error.code,
  );

async function reopen(limits: Partial<StorageLimits> = {}): Promise<void> {
  await at.net.close();
  await at.storage.close();
  at = open(limits);
}

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "fazt-net-"));
  at = open();
  const rootPass = "gravel otter lamp seven";
  await at.security.claimLocally({ rootPass, domain: "d.example", email: "o@example.org" });
});
afterEach(async () => {
  await at.net.close();
  await at.storage.close();
  rmSync(dataDir, { recursive: true });
});

describe("the calls of net", () => {
  test("each answers what it declares", async () => {
    const { id } = await deploy("blog", { "public/index.html": "x" });
    const route = { host: "x.example", app: "blog", appId: id, origin: "added" };
    expect(await make<RouteInfo>("route.add", { host: "X.example.", app: "blog" })).toEqual({
      ...route,
      origin: "added",
    });
    const named = { host: "blog.d.example", app: "blog", appId: id, origin: "name" };
    expect(await make<object[]>("route.ls")).toEqual([named, route]);
    await reopen();
    expect(await make<object[]>("route.ls")).toEqual([named, route]);
    expect(await make<object>("route.rm", { host: "x.example" })).toEqual({ host: "x.example" });
    expect(await make<object[]>("route.ls")).toEqual([named]);
    expect(await make<object>("status")).toMatchObject({ http: null, requests: 0 });
  });

  test("route add: EEXIST, EINVAL, ENOENT, ENOKEY", async () => {
    await deploy("blog", { "public/index.html": "x" });
    await deploy("shop", { "public/index.html": "x" });
    await make("route.add", { host: "x.example", app: "blog" });
    const add = (host: string, app: string) => refused("route.add", { host, app });
    expect(await add("x.example", "shop")).toBe("EEXIST");
    expect(await add("os.d.example", "shop")).toBe("EEXIST");
    expect(await add("blog.d.example", "shop")).toBe("EEXIST");
    expect(await add("x.example:80", "shop")).toBe("EINVAL");
    expect(await add("y.example", "none")).toBe("ENOENT");
    const input = { host: "y.example", app: "blog" };
    expect(await refused("route.add", input, anonymous(null))).toBe("ENOKEY");
    expect((await make<object[]>("route.ls")).length).toBe(3);
  });

  test("route add: EDQUOT when there are too many", async () => {
    const { id } = await deploy("blog", { "public/index.html": "x" });
    const sql = "INSERT INTO net_route VALUES (?, ?, NULL, 'added', 1)";
    await at.storage.write((tx) => {
      for (let i = 0; i < routesMax; i++) tx.run(sql, `h${i}.example`, id);
    });
    await reopen();
    expect(await refused("route.add", { host: "y.example", app: "blog" })).toBe("EDQUOT");
    expect(await refused("route.add", { host: "h0.example", app: "blog" })).toBeNull();
  });

  test("route rm: ENOENT, EINVAL", async () => {
    await deploy("blog", { "public/index.html": "x" }, { routes: ["m.example"] });
    expect(await refused("route.rm", { host: "none.example" })).toBe("ENOENT");
    expect(await refused("route.rm", { host: "blog.d.example" })).toBe("EINVAL");
    expect(await refused("route.rm", { host: "m.example" })).toBe("EINVAL");
  });

  test("ENOSPC on a full disk, and nothing has changed", async () => {
    await deploy("blog", { "public/index.html": "x" });
    await make("route.add", { host: "x.example", app: "blog" });
    const before = await make<object[]>("route.ls");
    await reopen({ diskUsedMax: 0 });
    expect(await refused("route.add", { host: "y.example", app: "blog" })).toBe("ENOSPC");
    expect(await refused("route.rm", { host: "x.example" })).toBe("ENOSPC");
    expect(await make<object[]>("route.ls")).toEqual(before);
  });
});

describe("an app's files", () => {
  const get = (port: number, path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      redirect: "manual",
      headers: { host: "blog.d.example", "accept-encoding": "identity", ...headers },
    });

  test("are served again and again, by condition and by range; a deploy is seen at once", async () => {
    const { port } = at.net.listen("127.0.0.1:0", () => new Response("os"));
    await deploy("blog", { "public/index.html": "<p>one", "public/a.txt": "0123456789" });
    for (let i = 0; i < 3; i++) expect(await (await get(port, "/")).text()).toBe("<p>one");
    const first = await get(port, "/a.txt");
    expect(await first.text()).toBe("0123456789");
    const etag = first.headers.get("etag") ?? "none";
    const conditional = await get(port, "/a.txt", { "if-none-match": etag });
    expect([conditional.status, await conditional.text()]).toEqual([304, ""]);
    const part = await get(port, "/a.txt", { range: "bytes=2-4" });
    expect([part.status, await part.text()]).toEqual([206, "234"]);
    expect(part.headers.get("x-request-id")).toBeString();
    await deploy("blog", { "public/index.html": "<p>two" });
    expect(await (await get(port, "/")).text()).toBe("<p>two");
    expect((await get(port, "/a.txt")).status).toBe(404);
    await at.app.rename("blog", "journal");
    expect((await get(port, "/")).status).toBe(421);
    expect(await (await get(port, "/", { host: "journal.d.example" })).text()).toBe("<p>two");
    await at.app.rm("journal", { purge: true });
    expect((await get(port, "/", { host: "journal.d.example" })).status).toBe(421);
  });

  test("are served while the app is stopped", async () => {
    const { port } = at.net.listen("127.0.0.1:0", () => new Response("os"));
    const files = { "public/index.html": "<p>one", "server.ts": "" };
    const { id } = await deploy("blog", files, { server: "server.ts" });
    await at.app.setStopped(id, true);
    expect(await (await get(port, "/")).text()).toBe("<p>one");
  });
});
