/** The calls through the dispatcher: replies, whose data they reach, every declared errno. */
import { describe, expect, test } from "bun:test";
import { migrations as appMigrations, createApps, Manifest } from "../app/mod.ts";
import { type Caller, localOwner } from "../caller.ts";
import { SysError } from "../errno.ts";
import { createFs, migrations as fsMigrations } from "../fs/mod.ts";
import type { Kernel } from "../kernel.ts";
import { realMachine } from "../machine.ts";
import { createModes, measure } from "../proc/mode/mod.ts";
import { createSecurity, migrations as securityMigrations } from "../security/mod.ts";
import { createDispatcher } from "../syscall/mod.ts";
import { storage as tree } from "./calls.ts";
import type { KvEntry } from "./kv.ts";
import { limits, type StorageLimits } from "./limits.ts";
import { createStorage, type Storage } from "./storage.ts";
import { temporaryStorage } from "./testing.ts";

const owner = localOwner("socket");
const migrations = [...securityMigrations, ...fsMigrations, ...appMigrations];

interface Storing {
  readonly storage: Storage;
  readonly dataDir: string;
}

/** The part of a kernel that these calls reach, with an app of each name. */
async function open(names: readonly string[], changed: Partial<StorageLimits> = {}) {
  const at = temporaryStorage({ migrations, limits: changed });
  const attached = await attach(at);
  await deployEach(attached, names);
  return { ...at, ...attached };
}

async function attach({ storage, dataDir }: Storing) {
  const machine = realMachine();
  const security = createSecurity({ machine, storage, dataDir });
  const fs = createFs({ machine, storage });
  const app = createApps({ machine, storage, fs, security });
  const owned = {
    rootPass: "gravel otter lamp seven",
    domain: "localhost",
    email: "a@example.org",
  };
  if (security.owner() === null) await security.claimLocally(owned);
  const actions = { dropCaches: () => undefined, cockpitOnly: () => undefined };
  const mode = createModes({ machine, storage, measure, actions });
  const kernel = { machine, version: "0", storage, security, fs, app, mode } as Kernel;
  const dispatcher = createDispatcher(kernel, { storage: tree });
  const make = async <T>(call: string, input: object = {}, caller: Caller = owner): Promise<T> => {
    const reply = await dispatcher.dispatch({ caller, call: `storage.${call}`, input });
    if (reply.kind !== "json") throw new Error(`${call} answers JSON`);
    return reply.value as T;
  };
  const of = (name: string): Caller => ({
    ...owner,
    kind: "app",
    via: "app",
    userId: null,
    appId: app.get(name).id,
    grants: ["storage:*"],
  });
  return { fs, app, make, of };
}

async function deployEach({ fs, app }: Pick<Kernel, "fs" | "app">, names: readonly string[]) {
  const { hash, sizeBytes } = await fs.blobs.put({ hash: null }, new Blob(["<p>"]).stream());
  const file = { path: "public/index.html", hash, sizeBytes, mode: 0o644 };
  for (const name of names) {
    const manifest = Manifest.parse({});
    const staged = await app.stage(owner, { name, manifest, files: [file], message: "" });
    await app.switchTo(staged.release);
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "OK",
    (error: unknown) => (error instanceof SysError ? error.code : String(error)),
  );
}

test("an app means its own data, the owner the app that is named", async () => {
  await using at = await open(["blog", "shop"]);
  const set = await at.make<KvEntry>("kv.set", { key: "k", value: { a: 1 } }, at.of("blog"));
  expect(set).toMatchObject({ key: "k", value: { a: 1 }, version: 1, expiresAt: null });
  expect(await at.make<KvEntry>("kv.get", { app: "blog", key: "k" })).toEqual(set);
  expect(await at.make<null>("kv.get", { app: "shop", key: "k" })).toBeNull();
  expect(await at.make<null>("kv.get", { key: "k" }, at.of("shop"))).toBeNull();
  const foreign = at.make("kv.get", { app: "blog", key: "k" }, at.of("shop"));
  expect(await codeOf(foreign)).toBe("EPERM");
  expect(await codeOf(at.make("kv.get", { key: "k" }))).toBe("EINVAL");
});

test("incr, ls and rm answer what they declare", async () => {
  await using at = await open(["blog"]);
  const app = "blog";
  expect(await at.make<KvEntry>("kv.incr", { app, key: "n/1" })).toMatchObject({ value: 1 });
  expect(await at.make<KvEntry>("kv.incr", { app, key: "n/1", by: -3 })).toMatchObject({
    value: -2,
  });
  await at.make("kv.set", { app, key: "n/2", value: "x", ttlMs: 60_000 });
  await at.make("kv.set", { app, key: "o", value: null });
  const page = await at.make<KvEntry[]>("kv.ls", { app, prefix: "n/" });
  expect(page.map((entry) => entry.key)).toEqual(["n/1", "n/2"]);
  const next = await at.make<KvEntry[]>("kv.ls", { app, after: "n/1", limit: 1 });
  expect(next.map((entry) => entry.key)).toEqual(["n/2"]);
  expect(await at.make<object>("kv.rm", { app, key: "o" })).toEqual({ removed: true });
  expect(await at.make<object>("kv.rm", { app, key: "o" })).toEqual({ removed: false });
});

describe("every declared errno", () => {
  const each = {
    "kv.get": { key: "k" },
    "kv.set": { key: "k", value: 1 },
    "kv.rm": { key: "k" },
    "kv.ls": {},
    "kv.incr": { key: "k" },
  };

  test("ENOENT: no such app", async () => {
    await using at = await open(["blog"]);
    for (const [call, input] of Object.entries(each)) {
      expect(await codeOf(at.make(call, { app: "blgo", ...input }))).toBe("ENOENT");
    }
  });

  test("ESTALE, EFBIG, ERANGE, EINVAL", async () => {
    await using at = await open(["blog"]);
    const app = "blog";
    const set = (input: object) => codeOf(at.make("kv.set", { app, key: "k", ...input }));
    expect(await set({ value: 1, ifVersion: 7 })).toBe("ESTALE");
    expect(await set({ value: "x".repeat(limits.kvValueBytesMax) })).toBe("EFBIG");
    expect(await set({})).toBe("EINVAL");
    expect(await set({ value: 1, ttlMs: 0 })).toBe("EINVAL");
    expect(await set({ value: 1, key: "k".repeat(limits.kvKeyBytesMax + 1) })).toBe("EINVAL");
    expect(await set({ value: 2 ** 53 - 1 })).toBe("OK");
    expect(await codeOf(at.make("kv.incr", { app, key: "k" }))).toBe("ERANGE");
    expect(await set({ value: "text" })).toBe("OK");
    expect(await codeOf(at.make("kv.incr", { app, key: "k" }))).toBe("EINVAL");
  });

  test("EACCES: without the capability", async () => {
    await using at = await open(["blog"]);
    const reader: Caller = { ...owner, kind: "user", via: "token", grants: ["storage:read"] };
    expect(await codeOf(at.make("kv.get", { app: "blog", key: "k" }, reader))).toBe("OK");
    for (const call of ["kv.set", "kv.rm", "kv.incr"] as const) {
      expect(await codeOf(at.make(call, { app: "blog", ...each[call] }, reader))).toBe("EACCES");
    }
    for (const call of ["check", "gc", "migrate"]) {
      expect(await codeOf(at.make(call, {}, reader))).toBe("EACCES");
    }
    expect(await codeOf(at.make("status", {}, reader))).toBe("OK");
    expect(await codeOf(at.make("status", {}, at.of("blog")))).toBe("EPERM");
  });

  test("ENOSPC: at the mark nothing grows, and what frees space goes on", async () => {
    await using at = await open(["blog"]);
    await at.make("kv.set", { app: "blog", key: "k", value: 1 });
    await at.storage.close();
    const [machine, dataDir] = [realMachine(), at.dataDir];
    const full = { machine, dataDir, migrations, limits: { diskUsedMax: -1 } };
    const storage = createStorage(full);
    const { make } = await attach({ storage, dataDir });
    for (const call of ["kv.set", "kv.incr"] as const) {
      expect(await codeOf(make(call, { app: "blog", ...each[call] }))).toBe("ENOSPC");
    }
    expect(await make<KvEntry>("kv.get", { app: "blog", key: "k" })).toMatchObject({ value: 1 });
    expect(await make<object>("kv.rm", { app: "blog", key: "k" })).toEqual({ removed: true });
    expect(await codeOf(make("gc"))).toBe("OK");
    expect(await make<object>("status")).toMatchObject({ mode: "read-only" });
    await storage.close();
  });

  test("EAGAIN: too many writes wait", async () => {
    await using at = await open(["blog"], { queueWritesMax: 8 });
    const writes = Array.from({ length: 40 }, () =>
      codeOf(at.make("kv.incr", { key: "n" }, at.of("blog"))),
    );
    const codes = await Promise.all(writes);
    const done = codes.filter((code) => code === "OK").length;
    expect(new Set(codes)).toEqual(new Set(["OK", "EAGAIN"]));
    const held = await at.make<KvEntry>("kv.get", { app: "blog", key: "n" });
    expect(held.value).toBe(done);
  });
});

test("the state of the database is told", async () => {
  await using at = await open([]);
  expect(await at.make<object>("status")).toMatchObject({ mode: "normal", dataDir: at.dataDir });
  const steps = await at.make<{ version: number; known: boolean }[]>("migrate");
  expect(steps.map((step) => step.version)).toEqual([1, 2, 3, 4]);
  expect(await at.make<object>("check")).toMatchObject({ ok: true, problems: [] });
  const collected = await at.make<{ name: string }[]>("gc");
  expect(collected.map((report) => report.name)).toContain("kv");
});
