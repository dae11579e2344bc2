/** The life of an app: names, removal, what gc takes and keeps, the tree, watchers, secrets. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AppKernel, appKernel, errnoOf, owner, refusal, stored } from "../../tests/apps.ts";
import type { Caller } from "../caller.ts";
import type { App, AppEvent } from "./app.ts";
import { limits } from "./limits.ts";
import { Manifest } from "./manifest.ts";

let kernel: AppKernel;
beforeEach(() => {
  kernel = appKernel();
});
afterEach(() => kernel[Symbol.asyncDispose]());

async function stage(name: string, text = "x") {
  const files = await stored(kernel.fs, { "index.html": text, "private/note.txt": text });
  return kernel.apps.stage(owner, { name, manifest: Manifest.parse({}), files, message: "" });
}

async function deploy(name: string, text?: string): Promise<App> {
  return kernel.apps.switchTo((await stage(name, text)).release);
}

const asApp = (app: App): Caller => ({
  kind: "app",
  via: "app",
  userId: null,
  appId: app.id,
  releaseId: app.releaseId,
  grants: ["fs:*"],
  address: null,
});

/** Every table with rows of an app. */
function tablesHolding(appId: string): string[] {
  const { read } = kernel.storage;
  const tables = read.all<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'");
  return tables
    .map(({ name }) => name)
    .filter((name) => name !== "security_audit")
    .filter((name) =>
      read
        .all<{ name: string }>(`SELECT name FROM pragma_table_info('${name}')`)
        .some((c) => c.name === "app_id"),
    )
    .filter((name) => read.get(`SELECT 1 FROM ${name} WHERE app_id = ? LIMIT 1`, appId) !== null);
}

async function fill(app: App): Promise<void> {
  await kernel.storage.kv.set({ appId: app.id, userId: null }, { key: "k", value: 1 });
  await kernel.fs.write(asApp(app), "/data/kept.txt", new Blob(["kept"]).stream());
  writeFileSync(join(kernel.storage.volumeDir(app.id), "app.db"), "volume");
  await kernel.apps.env.set(app.id, [{ name: "A", value: "1", secret: false }], owner);
}

describe("names", () => {
  test("an app that does not exist is refused with the nearest name", async () => {
    await deploy("blog");
    const error = await refusal(() => kernel.call("app.info", { app: "blgo" }));
    expect(error).toMatchObject({
      code: "ENOENT",
      message: "no such app: blgo",
      hint: "did you mean blog?",
    });
  });

  test("a rename keeps the data, and frees the old name", async () => {
    const app = await deploy("blog");
    await fill(app);
    expect(await kernel.call("app.rename", { app: "blog", to: "journal" })).toMatchObject({
      name: "journal",
      id: app.id,
    });
    const bytes = await kernel.fs.read(owner, "/data/journal/kept.txt", {
      offset: 0,
      length: null,
    });
    expect(await new Response(bytes.stream).text()).toBe("kept");
    expect(kernel.apps.find("blog")).toBeNull();
    const other = await deploy("blog");
    expect(other.id).not.toBe(app.id);
    expect(await kernel.fs.ls(owner, "/data/blog")).toEqual([]);
    expect(kernel.apps.env.ls(other.id)).toEqual([]);
  });

  test.each([
    ["a name that is taken", "EEXIST", "wiki"],
    ["a name of the system", "EINVAL", "os"],
    ["what is no name", "EINVAL", "My Blog"],
  ] as const)("a rename to %s is refused", async (_name, errno, to) => {
    await deploy("blog");
    await deploy("wiki");
    expect(await errnoOf(() => kernel.call("app.rename", { app: "blog", to }))).toBe(errno);
    expect(kernel.apps.ls().map(({ name }) => name)).toEqual(["blog", "wiki"]);
  });

  test("of an app that does not exist is refused, and to its own name is nothing", async () => {
    await deploy("blog");
    expect(await errnoOf(() => kernel.call("app.rename", { app: "x", to: "y" }))).toBe("ENOENT");
    expect(await kernel.call("app.rename", { app: "blog", to: "blog" })).toMatchObject({
      name: "blog",
    });
  });

  test("everything is found again after a restart", async () => {
    const app = await deploy("blog", "one");
    await kernel.apps.setStopped(app.id, true);
    await kernel.restart();
    expect(kernel.apps.get("blog")).toEqual({ ...app, stopped: true });
    expect(await kernel.call("app.info", { app: app.id })).toMatchObject({
      name: "blog",
      stopped: true,
      current: { number: 1, files: 2 },
      manifest: { spa: false },
    });
  });
});

describe("subject", () => {
  test("an app is always its own", async () => {
    const app = await deploy("blog");
    await deploy("wiki");
    expect(kernel.apps.subject(asApp(app), undefined).id).toBe(app.id);
    expect(kernel.apps.subject(asApp(app), "blog").id).toBe(app.id);
    expect(await errnoOf(() => kernel.apps.subject(asApp(app), "wiki"))).toBe("EPERM");
  });

  test("everybody else names one", async () => {
    const app = await deploy("blog");
    expect(kernel.apps.subject(owner, "blog").id).toBe(app.id);
    expect(await errnoOf(() => kernel.apps.subject(owner, undefined))).toBe("EINVAL");
    expect(await errnoOf(() => kernel.apps.subject(owner, "x"))).toBe("ENOENT");
  });

  test("a removed app has no data to speak of", async () => {
    const app = await deploy("blog");
    await kernel.apps.rm("blog", { purge: false });
    expect(await errnoOf(() => kernel.apps.subject(asApp(app), undefined))).toBe("ENOENT");
  });
});

describe("rm", () => {
  test("frees the name; a new app of it finds nothing", async () => {
    const old = await deploy("blog");
    await fill(old);
    const done = await kernel.call("app.rm", { app: "blog" });
    const kept = await kernel.call("app.removed", {});
    const [removed] = kept as { restorableUntil: number }[];
    expect(done).toEqual({
      ...{ app: "blog", id: old.id, purged: false },
      restorableUntil: removed?.restorableUntil,
    });
    expect(await errnoOf(() => kernel.call("app.rm", { app: "blog" }))).toBe("ENOENT");
    const app = await deploy("blog");
    expect(app.id).not.toBe(old.id);
    expect(kernel.storage.kv.get({ appId: app.id, userId: null }, "k")).toBeNull();
    expect(await kernel.fs.ls(asApp(app), "/data")).toEqual([]);
    expect(existsSync(join(kernel.storage.volumeDir(app.id), "app.db"))).toBe(false);
    expect(kernel.apps.env.ls(app.id)).toEqual([]);
    expect(kernel.apps.releases(app.id)).toHaveLength(1);
  });

  test("keeps the data 30 days, then gc erases it", async () => {
    const app = await deploy("blog");
    await fill(app);
    await kernel.apps.rm("blog", { purge: false });
    kernel.pass(limits.removedKeptMs - 1000);
    await kernel.storage.gc();
    expect(tablesHolding(app.id)).toContain("app_env");
    kernel.pass(1000);
    await kernel.storage.gc();
    expect(tablesHolding(app.id)).toEqual([]);
  });

  test("with purge leaves nothing, once the watchers have let go", async () => {
    const app = await deploy("blog");
    await fill(app);
    const volume = kernel.storage.volumeDir(app.id);
    const order: string[] = [];
    const stopped = Promise.withResolvers<void>();
    kernel.apps.watch(async ({ kind }) => {
      order.push(kind);
      await stopped.promise;
      order.push(`volume still there: ${existsSync(volume)}`);
    });
    const purged = kernel.call("app.rm", { app: "blog", purge: true });
    stopped.resolve();
    expect(await purged).toMatchObject({ purged: true });
    const there = "volume still there: true";
    expect(order).toEqual(["removed", there, "purged", there]);
    expect(tablesHolding(app.id)).toEqual([]);
    expect(existsSync(volume)).toBe(false);
  });
});

test("who restores and who purges at the same time: one of them is refused", async () => {
  const app = await deploy("blog");
  const purge = () => kernel.apps.rm(app.id, { purge: true });
  const restore = () => kernel.apps.restore(app.id, undefined);
  await kernel.apps.rm("blog", { purge: false });
  const [brought, kept] = await Promise.allSettled([restore(), purge()]);
  expect(brought).toMatchObject({ status: "fulfilled" });
  expect(kept).toMatchObject({ status: "rejected", reason: { code: "ENOENT" } });
  expect(kernel.apps.releases(app.id)).toHaveLength(1);
  expect(kernel.apps.get("blog").id).toBe(app.id);

  await kernel.apps.rm("blog", { purge: false });
  const [gone, late] = await Promise.allSettled([purge(), restore()]);
  expect(gone).toMatchObject({ status: "fulfilled" });
  expect(late).toMatchObject({ status: "rejected", reason: { code: "ENOENT" } });
  expect(tablesHolding(app.id)).toEqual([]);
  // Nor is anything kept for one that has gone since it was looked up.
  const entry = { name: "A", value: "1", secret: false };
  expect(await errnoOf(() => kernel.apps.env.set(app.id, [entry], owner))).toBe("ENOENT");
  expect(tablesHolding(app.id)).toEqual([]);
});

test("a purge that was cut is finished by gc, and nobody is offered half an app", async () => {
  const app = await deploy("blog");
  await fill(app);
  await kernel.apps.rm("blog", { purge: false });
  const purged = kernel.apps.rm(app.id, { purge: true });
  // One more work in the transaction that the purge begins with.
  await kernel.storage.write(() => null);
  const offered = kernel.apps.removed().map(({ app: { id } }) => id);
  await purged;
  expect(offered).toEqual([]);
});

describe("gc", () => {
  const rows = (table: string) =>
    kernel.storage.read.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)?.n;

  test("a deploy that was cut by the kernel's end is gone at the next boot", async () => {
    await deploy("blog");
    await stage("blog", "cut");
    await stage("wiki", "cut");
    await kernel.restart();
    await kernel.storage.gc();
    expect(kernel.apps.ls().map(({ name }) => name)).toEqual(["blog"]);
    expect([rows("app_app"), rows("app_release"), rows("fs_manifest")]).toEqual([1, 1, 1]);
    kernel.pass(2 * 60 * 60 * 1000);
    await kernel.storage.gc();
    expect(rows("fs_manifest_file")).toBe(2);
    expect(rows("fs_blob")).toBe(1);
    expect(await deploy("blog")).toMatchObject({ name: "blog" });
  });

  test("a staged release that is held is never taken, however old", async () => {
    const { release } = await stage("blog");
    kernel.pass(limits.stagedGraceMs * 2);
    await kernel.storage.gc();
    expect(await kernel.apps.switchTo(release)).toMatchObject({ releaseId: release.id });
  });

  test("the current release and ten others are kept", async () => {
    const releases: App[] = [];
    for (let i = 0; i < 14; i++) releases.push(await deploy("blog", `text ${i}`));
    const first = kernel.apps.release(releases[0]?.releaseId ?? "");
    await kernel.apps.switchTo(first);
    await kernel.storage.gc();
    const numbers = kernel.apps.releases(first.appId).map(({ number }) => number);
    expect(numbers).toEqual([14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 1]);
    expect(rows("fs_manifest")).toBe(11);
    expect(await errnoOf(() => kernel.apps.release(releases[1]?.releaseId ?? ""))).toBe("ENOENT");
  });

  test("a release that gc has begun to take is not switched to", async () => {
    const first = kernel.apps.release((await deploy("blog", "1")).releaseId ?? "");
    await deploy("blog", "2");
    await kernel.storage.write((tx) =>
      tx.run("UPDATE app_release SET switched_at = NULL WHERE id = ?", first.id),
    );
    expect(await errnoOf(() => kernel.apps.switchTo(first))).toBe("ENOENT");
    await kernel.storage.gc();
    expect(kernel.apps.get("blog").releaseId).not.toBe(first.id);
  });

  test("an app that is deployed to while others that never were are erased keeps what it has", async () => {
    // Left by first deploys that were cut.
    const ids = ["app_a", "app_b"];
    await kernel.storage.write((tx) => {
      for (const id of ids)
        tx.run("INSERT INTO app_app (app_id, name, created_at) VALUES (?, ?, 1)", id, id.slice(4));
    });
    const deployed = Promise.withResolvers<App>();
    kernel.apps.watch(async (event: AppEvent) => {
      if (event.kind !== "purged" || event.app.id !== "app_a") return;
      const app = await deploy("b");
      await fill(app);
      deployed.resolve(app);
    });
    await kernel.storage.gc();
    const app = await deployed.promise;
    expect(app.id).toBe("app_b");
    const kept = await kernel.storage.kv.get({ appId: app.id, userId: null }, "k");
    expect(kept?.value).toBe(1);
    expect((await kernel.fs.stat(owner, "/data/b/kept.txt")).kind).toBe("file");
    expect(kernel.apps.ls().map(({ name }) => name)).toEqual(["b"]);
    const { problems } = await kernel.storage.check();
    expect(problems).toEqual([]);
  });

  test("switching to a release that is gone is refused", async () => {
    const { release } = await stage("blog");
    await kernel.apps.abandon(release);
    expect(await errnoOf(() => kernel.apps.switchTo(release))).toBe("ENOENT");
    expect(kernel.apps.ls()).toEqual([]);
  });
});

describe("the tree", () => {
  test("shows the current release and the data, and to the app its own", async () => {
    const app = await deploy("blog", "one");
    await deploy("wiki");
    await fill(app);
    const names = async (caller: Caller, path: string) =>
      (await kernel.fs.ls(caller, path)).map((stat) => stat.path);
    expect(await names(owner, "/apps")).toEqual(["/apps/blog", "/apps/wiki"]);
    expect(await names(owner, "/data/blog")).toEqual(["/data/blog/kept.txt"]);
    expect(await names(asApp(app), "/app")).toEqual(["/app/index.html", "/app/private"]);
    expect(await names(asApp(app), "/data")).toEqual(["/data/kept.txt"]);
    const body = new Blob(["x"]).stream();
    expect(await errnoOf(() => kernel.fs.write(owner, "/apps/blog/new.txt", body))).toBe("EROFS");
  });
});

describe("watchers", () => {
  test("are told what is durable, in order; one that fails disturbs nobody", async () => {
    const told: string[] = [];
    kernel.apps.watch(() => {
      throw new Error("mine");
    });
    const stop = kernel.apps.watch((event: AppEvent) => {
      told.push(`${event.kind} ${event.app.name}`);
    });
    const app = await deploy("blog");
    await kernel.apps.rename("blog", "journal");
    await kernel.apps.env.set(app.id, [{ name: "A", value: "1", secret: false }], owner);
    await kernel.apps.rm("journal", { purge: false });
    stop();
    await deploy("blog");
    expect(told).toEqual([
      "switched blog",
      "changed journal",
      "changed journal",
      "removed journal",
    ]);
  });
});

test("no byte of a secret is in the database", async () => {
  const app = await deploy("blog");
  const secret = `sk-${"q7".repeat(30)}`;
  await kernel.call("app.env.set", { app: "blog", name: "API_KEY", secret });
  await kernel.call("app.env.set", { app: "blog", name: "GREETING", value: "hello-in-clear" });
  const release = kernel.apps.release(app.releaseId ?? "");
  expect(kernel.apps.env.resolve(release)).toEqual({ API_KEY: secret, GREETING: "hello-in-clear" });
  await kernel.storage.close();
  const bytes = readFileSync(join(kernel.dataDir, "data.db")).toString("latin1");
  expect(bytes).toContain("hello-in-clear");
  expect(bytes).not.toContain("q7q7q7");
});
