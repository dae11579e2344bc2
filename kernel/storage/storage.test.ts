/** The whole of storage: read-only mode, status, gc, check, what a row keeps. */
import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { clock } from "../../tests/clock.ts";
import { SysError } from "../errno.ts";
import { realMachine } from "../machine.ts";
import { limits as standardLimits } from "./limits.ts";
import { createStorage } from "./storage.ts";
import { temporaryDirectory, temporaryStorage } from "./testing.ts";

const scope = { appId: "app_a", userId: null };

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "OK",
    (error: unknown) => (error instanceof SysError ? error.code : String(error)),
  );
}

test("above the mark writes are refused, removals and reads go on, and it ends by itself", async () => {
  using at = temporaryDirectory();
  const dataDir = join(at.path, "data");
  const open = (diskUsedMax: number) =>
    createStorage({ machine: realMachine(), dataDir, migrations: [], limits: { diskUsedMax } });
  const normal = open(1);
  await normal.kv.set(scope, { key: "k", value: 1 });
  await normal.kv.set(scope, { key: "l", value: 2 });
  await normal.close();

  const full = open(-1);
  expect(full.status().mode).toBe("read-only");
  expect(full.kv.get(scope, "k")?.value).toBe(1);
  expect(await codeOf(full.kv.set(scope, { key: "k", value: 2 }))).toBe("ENOSPC");
  expect(await codeOf(full.kv.incr(scope, "k", 1))).toBe("ENOSPC");
  expect(full.kv.get(scope, "k")?.value).toBe(1);
  expect(await full.kv.rm(scope, "l")).toBe(true);
  expect(await full.write(() => "login", { essential: true })).toBe("login");
  expect((await full.gc()).map((report) => report.name)).toEqual(["kv", "pages"]);
  await full.close();

  const again = open(1);
  expect((await again.kv.set(scope, { key: "k", value: 3 })).value).toBe(3);
  await again.close();
});

test("status tells figures of this database and this disk", async () => {
  await using at = temporaryStorage();
  await at.storage.kv.set(scope, { key: "k", value: "x".repeat(100_000) });
  const status = at.storage.status();
  expect(status).toMatchObject({ mode: "normal", dataDir: at.dataDir, schemaVersion: 1 });
  expect(status.databaseBytes).toBeGreaterThan(100_000);
  expect(status.walBytes).toBeGreaterThan(100_000);
  expect(status.diskFreeBytes).toBeGreaterThan(0);
  expect(status.diskTotalBytes).toBeGreaterThan(status.diskFreeBytes);
});

test("gc gives the pages of what was removed back to the disk", async () => {
  await using at = temporaryStorage();
  const { kv } = at.storage;
  const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
  await Promise.all(keys.map((key) => kv.set(scope, { key, value: "x".repeat(500_000) })));
  await kv.purge("app_a");
  const [pages] = (await at.storage.gc()).filter((report) => report.name === "pages");
  expect(pages?.bytes).toBeGreaterThan(9_000_000);
  expect(at.storage.status().databaseBytes).toBeLessThan(500_000);
  expect(statSync(join(at.dataDir, "data.db")).size).toBeLessThan(500_000);
});

test("gc runs what was registered, the last first, one after the other", async () => {
  await using at = temporaryStorage();
  const order: string[] = [];
  at.storage.onGc("blobs", async () => {
    order.push("blobs");
    return { rows: 3, bytes: 30 };
  });
  at.storage.onGc("rows", async () => {
    order.push("rows");
    return { rows: 1, bytes: 0 };
  });
  expect(await at.storage.gc()).toContainEqual({ name: "blobs", rows: 3, bytes: 30 });
  expect(order).toEqual(["rows", "blobs"]);
  expect(() => at.storage.onGc("rows", async () => ({ rows: 0, bytes: 0 }))).toThrow("once");
});

/** Lets what was begun come to its end. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const { gcFirstMs, gcEveryMs, gcFullEveryMs, kvSweepMs } = standardLimits;

test.each([
  ["with room", 1, [gcFirstMs, kvSweepMs, gcEveryMs - 2 * kvSweepMs, kvSweepMs], [1, 1, 1, 2]],
  ["at its mark", -1, [kvSweepMs, kvSweepMs, gcFullEveryMs, kvSweepMs], [1, 1, 2, 2]],
] as const)(
  "what nothing refers to goes by itself, on a disk %s",
  async (_, mark, passed, runs) => {
    const time = clock();
    await using at = temporaryStorage({ machine: time.machine, limits: { diskUsedMax: mark } });
    let collected = 0;
    at.storage.onGc("blobs", async () => {
      collected++;
      return { rows: 1, bytes: 10 };
    });
    const seen: number[] = [];
    for (const ms of passed) {
      time.pass(ms);
      await settle();
      seen.push(collected);
    }
    expect(seen).toEqual([...runs]);
  },
);

test("gc that is asked for twice at once happens once", async () => {
  await using at = temporaryStorage();
  let collected = 0;
  at.storage.onGc("blobs", async () => ({ rows: ++collected, bytes: 0 }));
  const [one, two] = await Promise.all([at.storage.gc(), at.storage.gc()]);
  expect(one[0]).toEqual({ name: "blobs", rows: 1, bytes: 0 });
  expect(two[0]).toEqual(one[0]);
});

test("check counts the rows of a whole database", async () => {
  await using at = temporaryStorage();
  await at.storage.kv.set(scope, { key: "k", value: 1 });
  const report = await at.storage.check();
  expect(report).toMatchObject({ ok: true, problems: [] });
  expect(report.tables).toContainEqual({ name: "storage_kv", rows: 1 });
});

test("check names a damaged table and opening is not hindered by it", async () => {
  using at = temporaryDirectory();
  const dataDir = join(at.path, "data");
  const open = () => createStorage({ machine: realMachine(), dataDir, migrations: [] });
  const storage = open();
  await storage.kv.set(scope, { key: "k", value: "needle-in-the-page".repeat(300) });
  await storage.close();
  const bytes = await Bun.file(join(dataDir, "data.db")).bytes();
  const page = Math.floor(Buffer.from(bytes).indexOf("needle") / 8192) * 8192;
  bytes.fill(0xff, page, page + 64);
  await Bun.write(join(dataDir, "data.db"), bytes);
  const damaged = open();
  const report = await damaged.check();
  expect(report.ok).toBe(false);
  expect(report.problems.join("\n")).not.toBe("");
  await damaged.close();
});

test("numbers, bytes and text survive the database unchanged", async () => {
  await using at = temporaryStorage({
    migrations: [
      {
        version: 70,
        domain: "any",
        sql: "CREATE TABLE any_row (i INTEGER, r REAL, t TEXT, b BLOB) STRICT",
      },
    ],
  });
  const row = { i: Number.MAX_SAFE_INTEGER, r: 0.1, t: "naïve 🙂", b: new Uint8Array([0, 255]) };
  await at.storage.write((tx) =>
    tx.run("INSERT INTO any_row VALUES (?, ?, ?, ?)", row.i, row.r, row.t, row.b),
  );
  expect(at.storage.read.get<typeof row>("SELECT * FROM any_row")).toEqual(row);
  expect(at.storage.read.get("SELECT 1 WHERE 0")).toBeNull();
});
