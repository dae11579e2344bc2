/** The log ring: queries, followers, floods, bounds. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { realMachine } from "../machine.ts";
import type { LogLine } from "./log.ts";
import { cut } from "./log.ts";
import { createStorage } from "./storage.ts";
import { movableMachine, temporaryDirectory, temporaryStorage } from "./testing.ts";

const line = (text: string, more: Partial<LogLine> = {}) => ({
  app: "blog",
  appId: "app_blog",
  releaseId: "rel_1",
  level: "info" as const,
  text,
  ...more,
});

const texts = (lines: readonly LogLine[]) => lines.map((each) => each.text);

async function take(lines: AsyncIterable<LogLine>, count: number): Promise<LogLine[]> {
  const taken: LogLine[] = [];
  for await (const each of lines) {
    taken.push(each);
    if (taken.length === count) break;
  }
  return taken;
}

test("queries select by app, level, time and text, oldest first", async () => {
  const machine = movableMachine();
  await using at = temporaryStorage({ machine });
  const { logs } = at.storage;
  logs.append(line("one"));
  logs.append(line("two 100%", { level: "warn" }));
  logs.append(line("other", { app: "shop", appId: "app_shop", releaseId: null }));
  machine.advance(60_000);
  const sinceMs = machine.now();
  logs.append(line("three", { level: "error" }));
  expect(texts(logs.query({}))).toEqual(["one", "two 100%", "other", "three"]);
  expect(texts(logs.query({ app: "blog" }))).toEqual(["one", "two 100%", "three"]);
  expect(texts(logs.query({ appId: "app_shop" }))).toEqual(["other"]);
  expect(texts(logs.query({ level: "warn" }))).toEqual(["two 100%", "three"]);
  expect(texts(logs.query({ sinceMs }))).toEqual(["three"]);
  expect(texts(logs.query({ grep: "100%" }))).toEqual(["two 100%"]);
  expect(texts(logs.query({ grep: "_" }))).toEqual([]);
  expect(texts(logs.query({ limit: 2 }))).toEqual(["other", "three"]);
  const [first] = logs.query({ app: "blog" });
  expect(texts(logs.query({ after: first?.id, limit: 2 }))).toEqual(["two 100%", "other"]);
  expect(first).toMatchObject(line("one"));
});

test("a search finds what a query does, in windows of any size, across gaps", async () => {
  const { signal } = new AbortController();
  for (const logWindow of [1, 7, 10_000]) {
    await using at = temporaryStorage({ limits: { logWindow } });
    const { logs } = at.storage;
    expect(await logs.search({}, signal)).toEqual({ lines: [], newest: 0 });
    for (let i = 0; i < 100; i++) {
      const more = i % 3 === 0 ? { app: "shop", appId: "app_shop" } : {};
      logs.append(line(`line ${i}`, { ...more, level: i % 10 === 0 ? "error" : "info" }));
    }
    // As the ring itself makes gaps: the oldest lines of one app go.
    logs.query({});
    using db = new Database(join(at.storage.status().dataDir, "logs.db"));
    db.run("DELETE FROM log_line WHERE app = 'shop' AND id BETWEEN 20 AND 60");
    for (const query of [{}, { app: "shop" }, { level: "error" }, { grep: "7" }] as const) {
      for (const limit of [1, 5, 1_000]) {
        const { lines, newest } = await logs.search({ ...query, limit }, signal);
        expect(lines).toEqual(logs.query({ ...query, limit }));
        expect(newest).toBe(100);
      }
    }
    expect((await logs.search({}, AbortSignal.abort())).lines).toEqual([]);
  }
});

test("while a search goes on others have their turn, and what they log comes after it", async () => {
  await using at = temporaryStorage({ limits: { logWindow: 1, logSliceMs: -1 } });
  const { logs } = at.storage;
  for (let i = 0; i < 50; i++) logs.append(line(`old ${i}`));
  const searching = logs.search({ grep: "o" }, new AbortController().signal);
  let turns = 0;
  let over = false;
  void searching.finally(() => {
    over = true;
  });
  for (; !over; turns++) {
    logs.append(line("new one"));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(turns).toBeGreaterThan(40);
  const { lines, newest } = await searching;
  expect(lines.at(-1)?.text).toBe("old 49");
  const rest = logs.follow({ grep: "o", after: newest }, AbortSignal.timeout(30_000));
  expect(texts(await take(rest, turns))).toEqual(Array.from({ length: turns }, () => "new one"));
});

test("lines outlive the process, and ids go on where they were", async () => {
  using at = temporaryDirectory();
  const open = () =>
    createStorage({ machine: realMachine(), dataDir: join(at.path, "data"), migrations: [] });
  const before = open();
  before.logs.append(line("before"));
  await before.close();
  const after = open();
  after.logs.append(line("after"));
  const [one, two] = after.logs.query({});
  expect([one?.text, two?.text]).toEqual(["before", "after"]);
  expect(two?.id).toBeGreaterThan(one?.id ?? 0);
  await after.close();
});

test("a follower gets what is new and matches, and ends with its signal", async () => {
  await using at = temporaryStorage();
  const { logs } = at.storage;
  logs.append(line("old"));
  const abort = new AbortController();
  const lines = logs.follow({ app: "blog", level: "warn" }, abort.signal);
  logs.append(line("info"));
  logs.append(line("warn", { level: "warn" }));
  logs.append(line("other", { level: "warn", app: "shop" }));
  const iterator = lines[Symbol.asyncIterator]();
  expect((await iterator.next()).value?.text).toBe("warn");
  const waiting = iterator.next();
  logs.append(line("error", { level: "error" }));
  expect((await waiting).value?.text).toBe("error");
  const last = iterator.next();
  abort.abort();
  expect((await last).done).toBe(true);
});

test("a follower that continues gets each line once", async () => {
  await using at = temporaryStorage();
  const { logs } = at.storage;
  for (let i = 0; i < 450; i++) logs.append(line(`l${i}`));
  const [first] = logs.query({ after: 0, limit: 1 });
  const lines = logs.follow({ after: first?.id }, new AbortController().signal);
  logs.append(line("l450"));
  const seen = texts(await take(lines, 450));
  expect(seen).toEqual(Array.from({ length: 450 }, (_, i) => `l${i + 1}`));
});

test("a follower too slow is told how much it missed", async () => {
  await using at = temporaryStorage({ limits: { logFollowLinesMax: 3 } });
  const { logs } = at.storage;
  const lines = logs.follow({}, new AbortController().signal);
  for (let i = 0; i < 10; i++) logs.append(line(`l${i}`));
  const seen = texts(await take(lines, 4));
  expect(seen).toEqual(["l0", "l1", "l2", "dropped 7 lines: this reader is too slow"]);
});

test("closing the storage ends its followers", async () => {
  await using at = temporaryStorage();
  const next = at.storage.logs
    .follow({}, new AbortController().signal)
    [Symbol.asyncIterator]()
    .next();
  await at.storage.close();
  expect((await next).done).toBe(true);
});

test("a flood of one app is cut and counted, another app's line gets through", async () => {
  await using at = temporaryStorage({ limits: { logBurstLinesMax: 50 } });
  const { logs } = at.storage;
  for (let i = 0; i < 1000; i++) logs.append(line(`flood ${i}`));
  logs.append(line("calm", { app: "shop" }));
  expect(texts(logs.query({ app: "shop" }))).toEqual(["calm"]);
  const flood = logs.query({ app: "blog", limit: 1000 });
  expect(flood).toHaveLength(51);
  expect(flood.at(-1)).toMatchObject({
    level: "warn",
    text: "dropped 950 lines: more than 50 at once",
  });
});

test("the ring is bounded by bytes and by lines, and loses its oldest", async () => {
  await using at = temporaryStorage({ limits: { logBytesMax: 512 * 1024, logRowsMax: 5_000 } });
  const { logs } = at.storage;
  for (let i = 0; i < 4_000; i++) {
    logs.append(line(`${i} ${"x".repeat(500)}`));
    if (i % 500 === 499) logs.query({ limit: 1 });
  }
  const kept = logs.query({ limit: 10_000 });
  expect(kept.at(-1)?.text).toStartWith("3999 ");
  expect(kept.length).toBeGreaterThan(500);
  expect(kept.length).toBeLessThan(1_100);
  for (let i = 0; i < 12_000; i++) {
    logs.append(line("s", { app: `a${i % 12}` }));
    if (i % 1000 === 999) logs.query({ limit: 1 });
  }
  expect(logs.query({ limit: 10_000 }).length).toBeLessThanOrEqual(5_000);
  await at.storage.close();
  expect(statSync(join(at.dataDir, "logs.db")).size).toBeLessThan(2 * 1024 * 1024);
});

test("a chatty app loses its own past and nobody else's", async () => {
  await using at = temporaryStorage({ limits: { logBytesMax: 512 * 1024, logRowsMax: 5_000 } });
  const { logs } = at.storage;
  for (let i = 0; i < 20; i++) logs.append(line(`quiet ${i}`, { app: "quiet" }));
  for (let i = 0; i < 6_000; i++) {
    logs.append(line(`${i} ${"x".repeat(500)}`, { app: "chatty" }));
    if (i % 500 === 499) logs.query({ limit: 1 });
  }
  expect(logs.query({ app: "quiet", limit: 100 }).length).toBe(20);
  const chatty = logs.query({ app: "chatty", limit: 10_000 });
  expect(chatty.length).toBeLessThan(1_100);
  expect(chatty.at(-1)?.text).toStartWith("5999 ");
});

test("a long line is cut, and says so", () => {
  expect(cut("short", 10)).toBe("short");
  expect(cut("0123456789abc", 10)).toBe("0123456789… (3 more)");
  expect(cut("🙂🙂", 3).isWellFormed()).toBe(true);
});

test("a ring whose lines are damaged is begun anew too", async () => {
  using at = temporaryDirectory();
  const dataDir = join(at.path, "data");
  const open = () => createStorage({ machine: realMachine(), dataDir, migrations: [] });
  const whole = open();
  for (let n = 0; n < 100; n++) whole.logs.append(line("x".repeat(1000)));
  await whole.close();
  const path = join(dataDir, "logs.db");
  const bytes = readFileSync(path);
  // Its head and its schema stay.
  writeFileSync(path, bytes.fill(0xff, 8192));
  const storage = open();
  storage.logs.append(line("anew"));
  expect(texts(storage.logs.query({}))).toEqual(["anew"]);
  await storage.close();
  expect(readdirSync(dataDir)).toContain("logs.db.bad");
});

test("a damaged ring is begun anew and the old one is kept", async () => {
  using at = temporaryDirectory();
  const dataDir = join(at.path, "data");
  const open = () => createStorage({ machine: realMachine(), dataDir, migrations: [] });
  await open().close();
  writeFileSync(join(dataDir, "logs.db"), "scribble ".repeat(500));
  const storage = open();
  storage.logs.append(line("anew"));
  expect(texts(storage.logs.query({}))).toEqual(["anew"]);
  await storage.close();
  expect(readdirSync(dataDir)).toContain("logs.db.bad");
});
