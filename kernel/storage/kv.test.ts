/** Key-value pairs: compare-and-set, expiry, counting, listing, limits. */
import { describe, expect, test } from "bun:test";
import { SysError } from "../errno.ts";
import { prefixEnd } from "./kv.ts";
import { limits } from "./limits.ts";
import { movableMachine, temporaryStorage } from "./testing.ts";

const scope = { appId: "app_a", userId: "usr_1" };
const other = { appId: "app_b", userId: null };

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return "OK";
  } catch (error) {
    return error instanceof SysError ? error.code : String(error);
  }
}

test("a value comes back as it was, and another app's key is another key", async () => {
  await using at = temporaryStorage();
  const { kv } = at.storage;
  for (const value of [null, 0, -1.5, "ü\u0000x", [1, { a: [] }], { deep: { er: true } }]) {
    const written = await kv.set(scope, { key: "k", value });
    expect(kv.get(scope, "k")).toEqual(written);
    expect(written.value).toEqual(value);
  }
  expect(kv.get(other, "k")).toBeNull();
});

test("the row says whose it is and who wrote it", async () => {
  await using at = temporaryStorage();
  await at.storage.kv.set(scope, { key: "k", value: 1 });
  const row = at.storage.read.get("SELECT app_id, user_id FROM storage_kv");
  expect(row).toEqual({ app_id: "app_a", user_id: "usr_1" });
});

describe("compare and set", () => {
  test("one of many that compare with the same version wins", async () => {
    await using at = temporaryStorage();
    const { kv } = at.storage;
    const first = await kv.set(scope, { key: "k", value: "start" }, { ifVersion: 0 });
    const codes = await Promise.all(
      [1, 2, 3].map((value) =>
        codeOf(() => kv.set(scope, { key: "k", value }, { ifVersion: first.version })),
      ),
    );
    expect(codes.sort()).toEqual(["ESTALE", "ESTALE", "OK"]);
    expect(await codeOf(() => kv.set(scope, { key: "k", value: 0 }, { ifVersion: 0 }))).toBe(
      "ESTALE",
    );
  });

  test("a key made again never repeats a version", async () => {
    await using at = temporaryStorage();
    const { kv } = at.storage;
    await kv.set(scope, { key: "k", value: 1 });
    const second = await kv.set(scope, { key: "k", value: 2 });
    await kv.rm(scope, "k");
    const again = await kv.set(scope, { key: "k", value: 3 }, { ifVersion: 0 });
    expect(again.version).toBeGreaterThan(second.version);
  });
});

describe("time to live", () => {
  test("an expired key is never seen, and is swept", async () => {
    const machine = movableMachine();
    await using at = temporaryStorage({ machine });
    const { kv } = at.storage;
    const kept = await kv.set(scope, { key: "k", value: 1 }, { ttlMs: 1000 });
    expect(kv.get(scope, "k")?.expiresAt).toBe(kept.expiresAt);
    machine.advance(2000);
    expect(kv.get(scope, "k")).toBeNull();
    expect(kv.ls(scope)).toEqual([]);
    expect(await kv.rm(scope, "k")).toBe(false);
    await kv.set(scope, { key: "l", value: 1 }, { ttlMs: 1000 });
    machine.advance(2000);
    expect(await at.storage.gc()).toContainEqual({ name: "kv", rows: 1, bytes: 0 });
    expect(at.storage.read.all("SELECT * FROM storage_kv")).toEqual([]);
  });

  test("an expired key counts as absent and its version is not repeated", async () => {
    const machine = movableMachine();
    await using at = temporaryStorage({ machine });
    const { kv } = at.storage;
    const old = await kv.set(scope, { key: "n", value: 41 }, { ttlMs: 1000 });
    machine.advance(2000);
    const fresh = await kv.incr(scope, "n", 1);
    expect(fresh).toMatchObject({ value: 1, expiresAt: null });
    expect(fresh.version).toBeGreaterThan(old.version);
  });

  test("set without ttl ends it, incr keeps it", async () => {
    await using at = temporaryStorage();
    const { kv } = at.storage;
    const first = await kv.set(scope, { key: "n", value: 1 }, { ttlMs: 60_000 });
    expect((await kv.incr(scope, "n", 1)).expiresAt).toBe(first.expiresAt);
    expect((await kv.set(scope, { key: "n", value: 1 })).expiresAt).toBeNull();
  });

  test("a sweep is bounded", async () => {
    const machine = movableMachine();
    await using at = temporaryStorage({ machine, limits: { kvSweepRowsMax: 2 } });
    const { kv } = at.storage;
    for (const key of ["a", "b", "c"]) await kv.set(scope, { key, value: 1 }, { ttlMs: 10 });
    machine.advance(20);
    expect((await at.storage.gc())[0]).toMatchObject({ rows: 2 });
    expect((await at.storage.gc())[0]).toMatchObject({ rows: 1 });
  });
});

describe("incr", () => {
  test("many at once lose none", async () => {
    await using at = temporaryStorage();
    const { kv } = at.storage;
    await Promise.all(Array.from({ length: 200 }, () => kv.incr(scope, "n", 2)));
    expect(kv.get(scope, "n")?.value).toBe(400);
  });

  test("EINVAL and ERANGE leave the value alone", async () => {
    await using at = temporaryStorage();
    const { kv } = at.storage;
    await kv.set(scope, { key: "t", value: "text" });
    await kv.set(scope, { key: "n", value: Number.MAX_SAFE_INTEGER });
    expect(await codeOf(() => kv.incr(scope, "t", 1))).toBe("EINVAL");
    expect(await codeOf(() => kv.incr(scope, "n", 0.5))).toBe("EINVAL");
    expect(await codeOf(() => kv.incr(scope, "n", 1))).toBe("ERANGE");
    expect(kv.get(scope, "n")?.value).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe("ls", () => {
  test("a prefix is text, not a pattern", async () => {
    await using at = temporaryStorage();
    const { kv } = at.storage;
    const keys = ["a%b", "a%", "aXb", "a_b", "é/1", "é/2", "ê", "\u{10ffff}z", "퟿x", "b"];
    for (const key of keys) await kv.set(scope, { key, value: 1 });
    await kv.set(other, { key: "a%other", value: 1 });
    const under = (prefix: string) => kv.ls(scope, { prefix }).map((entry) => entry.key);
    expect(under("a%")).toEqual(["a%", "a%b"]);
    expect(under("a_")).toEqual(["a_b"]);
    expect(under("é/")).toEqual(["é/1", "é/2"]);
    expect(under("\u{10ffff}")).toEqual(["\u{10ffff}z"]);
    expect(under("퟿")).toEqual(["퟿x"]);
    expect(under("")).toHaveLength(keys.length);
  });

  test("pages follow one another without gap or repetition", async () => {
    await using at = temporaryStorage();
    const { kv } = at.storage;
    const keys = Array.from({ length: 25 }, (_, i) => `k${String(i).padStart(2, "0")}`);
    await Promise.all(keys.map((key) => kv.set(scope, { key, value: key })));
    const seen: string[] = [];
    for (let after = ""; ; ) {
      const page = kv.ls(scope, { prefix: "k", after, limit: 10 });
      if (page.length === 0) break;
      seen.push(...page.map((entry) => entry.key));
      after = seen.at(-1) ?? "";
    }
    expect(seen).toEqual(keys);
  });

  test("a page is bounded by bytes, and never empty for it", async () => {
    await using at = temporaryStorage({ limits: { kvPageBytesMax: 100 } });
    const { kv } = at.storage;
    for (const key of ["a", "b", "c"]) await kv.set(scope, { key, value: "x".repeat(150) });
    expect(kv.ls(scope).map((entry) => entry.key)).toEqual(["a"]);
    expect(kv.ls(scope, { after: "a" }).map((entry) => entry.key)).toEqual(["b"]);
  });
});

test("the end of a prefix is the next code point, carried where there is none", () => {
  expect(prefixEnd("a")).toBe("b");
  expect(prefixEnd("\ud7ff")).toBe("\ue000");
  expect(prefixEnd("a\u{10ffff}")).toBe("b");
  expect(prefixEnd("\u{10ffff}")).toBeNull();
  expect(prefixEnd("")).toBeNull();
  expect(prefixEnd("k".repeat(2_000_000))).toHaveLength(2_000_000);
});

describe("limits", () => {
  test("keys and values at the limit go in, beyond it they do not", async () => {
    await using at = temporaryStorage();
    const set = (key: string, value: unknown) =>
      codeOf(() => at.storage.kv.set(scope, { key, value }));
    expect(await set("k".repeat(limits.kvKeyBytesMax), 1)).toBe("OK");
    expect(await set("k".repeat(limits.kvKeyBytesMax + 1), 1)).toBe("EINVAL");
    expect(await set("é".repeat(limits.kvKeyBytesMax / 2 + 1), 1)).toBe("EINVAL");
    expect(await set("v", "x".repeat(limits.kvValueBytesMax - 2))).toBe("OK");
    expect(await set("v", "x".repeat(limits.kvValueBytesMax - 1))).toBe("EFBIG");
    for (const key of ["", "nul\0", "\ud800"]) expect(await set(key, 1)).toBe("EINVAL");
    for (const value of [undefined, 1n, () => 1]) expect(await set("v", value)).toBe("EINVAL");
  });

  test("a time to live is a positive whole number", async () => {
    await using at = temporaryStorage();
    for (const ttlMs of [0, -1, 1.5, Number.NaN, limits.kvTtlMsMax + 1]) {
      const work = () => at.storage.kv.set(scope, { key: "k", value: 1 }, { ttlMs });
      expect(await codeOf(work)).toBe("EINVAL");
    }
  });
});

test("purge of many keys lets others write in between", async () => {
  await using at = temporaryStorage();
  const { kv } = at.storage;
  const many = limits.kvSweepRowsMax * 2 + 10;
  await at.storage.write((tx) => {
    for (let n = 0; n < many; n++) kv.plan.set(scope, { key: `k${n}`, value: n })(tx);
  });
  const purged = kv.purge(scope.appId);
  await at.storage.write(() => null);
  const left = at.storage.read.get<{ n: number }>("SELECT count(*) AS n FROM storage_kv")?.n;
  expect(left).toBeGreaterThan(0);
  expect(await purged).toBe(many);
  expect(at.storage.read.all("SELECT * FROM storage_usage")).toEqual([]);
  expect(at.storage.read.all("SELECT * FROM storage_kv_floor")).toEqual([]);
});

test("purge forgets one app and no other", async () => {
  await using at = temporaryStorage();
  const { kv } = at.storage;
  for (const key of ["a", "b"]) await kv.set(scope, { key, value: 1 });
  await kv.set(other, { key: "a", value: 1 });
  expect(await kv.purge("app_a")).toBe(2);
  expect(kv.ls(scope)).toEqual([]);
  expect(kv.ls(other)).toHaveLength(1);
});
