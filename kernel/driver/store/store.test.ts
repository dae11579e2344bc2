/** The conformance suite of a replica's store: a directory, and an S3 server that is not ours. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type S3, startS3 } from "../../../tests/s3.ts";
import { until } from "../fixture.ts";
import { limits } from "../limits.ts";
import { openFileStore } from "./file.ts";
import { openS3Store } from "./s3.ts";
import type { ReplicaStore } from "./store.ts";

let s3: S3;
let directory: string;
const stores: Record<string, ReplicaStore> = {};
const storeLimits = { ...limits, requestMs: 2_000, partBytes: 5 * 1024 * 1024 };

beforeAll(async () => {
  s3 = await startS3();
  directory = mkdtempSync(join(tmpdir(), "fazt-store-"));
  const { bucket, endpoint, keyId, secret } = s3;
  const target = { kind: "s3", bucket, endpoint, keyId, secret, region: "us-east-1" } as const;
  stores["s3"] = await openS3Store({ ...target, prefix: "some/prefix" }, storeLimits);
  stores["file"] = openFileStore(join(directory, "replica"));
});

afterAll(async () => {
  stores["s3"]?.close();
  await s3[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const bytes = (text: string) => new TextEncoder().encode(text);
const read = async (store: ReplicaStore, key: string) =>
  Buffer.concat(await Array.fromAsync(store.get(key)));
const keys = async (store: ReplicaStore, prefix: string, after?: string) =>
  (await Array.fromAsync(store.list(prefix, after))).map(({ key }) => key);

async function* inPieces(whole: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
}

describe.each(["file", "s3"])("a store in %s", (kind) => {
  const open = (): ReplicaStore => {
    const store = stores[kind];
    if (store === undefined) throw new Error("no such store");
    return store;
  };

  test("can be tried, and nothing of that is left", async () => {
    await open().probe();
    expect(await keys(open(), "")).toEqual([]);
  });

  test("gives back what it got, whole or not at all", async () => {
    const store = open();
    await store.put("a/b/one", bytes("1"));
    await store.put("a/b/one", bytes("eins"));
    expect((await read(store, "a/b/one")).toString()).toBe("eins");
    await expect(read(store, "a/b/none")).rejects.toMatchObject({ code: "ENOENT" });
    expect(await store.look("a/b/none")).toBeNull();
  });

  test("lists in order, by prefix, after a key", async () => {
    const store = open();
    const all = ["l/1/a", "l/1/b", "l/10/a", "l/2/a", "l/2/b_1", "l/2/b_2", "m"];
    for (const key of all.toReversed()) await store.put(key, bytes(key));
    expect(await keys(store, "l/")).toEqual(all.slice(0, 6));
    expect(await keys(store, "l/2/b_")).toEqual(["l/2/b_1", "l/2/b_2"]);
    expect(await keys(store, "l/", "l/10/a")).toEqual(["l/2/a", "l/2/b_1", "l/2/b_2"]);
    expect(await store.names("l/")).toEqual(["1/", "10/", "2/"]);
    expect(await store.names("l/2/")).toEqual(["a", "b_1", "b_2"]);
    const [first] = await Array.fromAsync(store.list("l/1/a"));
    expect(first?.sizeBytes).toBe(5);
    expect(Math.abs((first?.modifiedAt ?? 0) - Date.now())).toBeLessThan(120_000);
  });

  test("takes what is larger than a part", async () => {
    const store = open();
    const large = randomBytes(12 * 1024 * 1024 + 7);
    await store.putStream("large", inPieces(large, 700_001));
    expect((await read(store, "large")).equals(large)).toBe(true);
    await store.putStream("small", inPieces(large.subarray(0, 100), 7));
    expect((await read(store, "small")).length).toBe(100);
  });

  test("keeps nothing of what broke on the way", async () => {
    const store = open();
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield randomBytes(6 * 1024 * 1024);
      yield randomBytes(6 * 1024 * 1024);
      throw new Error("the source broke");
    }
    await expect(store.putStream("broken", broken())).rejects.toThrow();
    expect(await store.look("broken")).toBeNull();
  });

  test("removes one and many, and what is not there", async () => {
    const store = open();
    for (const key of ["r/1", "r/2", "r/3"]) await store.put(key, bytes(key));
    await store.remove(["r/1"]);
    await store.remove(["r/3", "r/none", "r/2"]);
    await store.remove(["r/none"]);
    expect(await keys(store, "r/")).toEqual([]);
  });

  test("swaps only what it still is", async () => {
    const store = open();
    expect(await store.swap("w", bytes("1"), null)).toBe(true);
    expect(await store.swap("w", bytes("2"), null)).toBe(false);
    const one = await store.look("w");
    expect(await store.swap("w", bytes("2"), one?.version ?? "")).toBe(true);
    expect(await store.swap("w", bytes("3"), one?.version ?? "")).toBe(false);
    expect((await read(store, "w")).toString()).toBe("2");
  });
});

test("a store in a directory removes what writers that were killed left, a day later", async () => {
  const root = mkdtempSync(join(tmpdir(), "fazt-drafts-"));
  try {
    const drafts = join(root, "fazt/draft");
    mkdirSync(drafts, { recursive: true });
    for (const name of ["old", "young"]) writeFileSync(join(drafts, name), "left");
    utimesSync(join(drafts, "old"), 1_000_000, 1_000_000);
    await openFileStore(root).put("a", new Uint8Array(1));
    expect(readdirSync(drafts)).toEqual(["young"]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

describe("what goes wrong on the way to S3", () => {
  const store = (): ReplicaStore => stores["s3"] ?? ({} as ReplicaStore);

  test.each([
    [500, "EIO"],
    [503, "EAGAIN"],
    [429, "EAGAIN"],
    [403, "EACCES"],
    ["reset", "EIO"],
    ["stall", "ETIMEDOUT"],
    ["cut request", "EIO"],
    ["late", "EIO"],
  ] as const)("%p is %s, after one request", async (fault, code) => {
    const before = s3.asked.length;
    s3.fault = () => fault;
    await expect(store().put("f/1", bytes("1"))).rejects.toMatchObject({ code });
    s3.fault = () => null;
    expect(s3.asked.length).toBe(before + 1);
    // A server may have kept what was cut: the same bytes under the same name put it right.
    if (fault !== "cut request") {
      expect((await store().look("f/1")) === null).toBe(fault !== "late");
    }
    await store().put("f/1", bytes("1"));
    expect((await read(store(), "f/1")).toString()).toBe("1");
    await store().remove(["f/1"]);
  });

  test("parts may take the store longer to put together than a request may take", async () => {
    const hurried = { ...storeLimits, requestMs: 500, partBytes: 5 * 1024 * 1024 };
    const { bucket, endpoint, keyId, secret } = s3;
    const target = { kind: "s3", bucket, endpoint, keyId, secret, region: "us-east-1" } as const;
    const slow = await openS3Store({ ...target, prefix: "slow" }, hurried);
    const together = Promise.withResolvers<void>();
    let askedMs: number | null = null;
    s3.fault = ({ method, path }) => {
      if (method !== "POST" || !path.includes("uploadId=")) return null;
      askedMs = performance.now();
      return together.promise;
    };
    const whole = randomBytes(6 * 1024 * 1024);
    const written = slow.putStream("f/large", inPieces(whole, 1024 * 1024));
    written.catch(() => undefined);
    await until(() => askedMs !== null && performance.now() - askedMs > 2 * hurried.requestMs);
    together.resolve();
    await written;
    s3.fault = () => null;
    expect((await read(slow, "f/large")).equals(whole)).toBe(true);
    slow.close();
  });

  test("in a hurry what goes on goes on, and what stands still is cut off", async () => {
    const { bucket, endpoint, keyId, secret } = s3;
    const target = { kind: "s3", bucket, endpoint, keyId, secret, region: "us-east-1" } as const;
    const late = await openS3Store(
      { ...target, prefix: "late" },
      { ...storeLimits, requestMs: 6e5 },
    );
    const slow = Promise.withResolvers<void>();
    const begun = { slow: false, stall: false };
    s3.fault = ({ path }) => {
      const kind = path.includes("f/slow") ? "slow" : "stall";
      begun[kind] = true;
      return kind === "slow" ? slow.promise : "stall";
    };
    const written = late.put("f/slow", bytes("1"));
    // What its bytes may take on the slowest line is more than there is of a hurry.
    const large = new Uint8Array(1_000_000);
    const cut = late.put("f/stall", large).catch((error: unknown) => error);
    written.catch(() => undefined);
    await until(() => begun.slow && begun.stall);
    // Whoever takes 60 s here is cut off, as is proved by the other one.
    late.hurry(60_000);
    slow.resolve();
    await written;
    late.hurry(1);
    expect(await cut).toMatchObject({ code: "ETIMEDOUT" });
    s3.fault = () => null;
    late.close();
  });

  test("a repeated request changes nothing", async () => {
    s3.fault = () => "repeat";
    await store().put("f/2", bytes("22"));
    s3.fault = () => null;
    expect((await read(store(), "f/2")).toString()).toBe("22");
  });

  test("a reply that is cut is not taken for whole", async () => {
    await store().put("f/3", randomBytes(100_000));
    s3.fault = () => "cut reply";
    await expect(read(store(), "f/3")).rejects.toThrow();
    s3.fault = () => null;
  });

  test("a bucket that is not there is told", async () => {
    const { endpoint, keyId, secret } = s3;
    const other = { kind: "s3", bucket: "absent", prefix: "", region: "us-east-1" } as const;
    const absent = await openS3Store({ ...other, endpoint, keyId, secret }, storeLimits);
    await expect(absent.probe()).rejects.toMatchObject({ code: "ENOENT" });
    absent.close();
  });
});
