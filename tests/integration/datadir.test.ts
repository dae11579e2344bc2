/** Data directories and ports that are damaged, newer, taken or full: said clearly, nothing lost. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mayMount, smallDisk } from "../disk.ts";
import { fazt, type KernelProcess, startProcess } from "../process.ts";

let machine: KernelProcess;
beforeEach(async () => {
  machine = await startProcess();
  const dir = machine.scratch("site");
  writeFileSync(join(dir, "index.html"), "one");
  await machine.faztJson("app", "deploy", dir);
});
afterEach(() => machine[Symbol.asyncDispose]());

const start = (dataDir: string, ...args: string[]) =>
  fazt(dataDir, ["proc", "start", "--data", dataDir, "--http", "127.0.0.1:0", ...args]);
const sha256 = (path: string) =>
  new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
const page = async () => (await machine.fetch("site", "/")).text();

describe("a damaged database", () => {
  /** Damages data.db, expects a refusal that leaves it as it is, and heals it again. */
  async function refused(damage: (path: string) => void): Promise<string> {
    await machine.stop();
    const path = join(machine.dataDir, "data.db");
    const whole = readFileSync(path);
    damage(path);
    const damaged = sha256(path);
    const ended = await start(machine.dataDir);
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr).toMatch(/^fazt: EBADMSG: cannot open ".*data\.db".*\nhint: .+\n$/);
    expect(sha256(path)).toBe(damaged);
    writeFileSync(path, whole);
    await machine.start();
    expect(await page()).toBe("one");
    return ended.stderr;
  }

  const flip = (path: string, from: number, to: number) => {
    const bytes = readFileSync(path);
    for (let at = from; at < to; at++) bytes[at] = ~(bytes[at] ?? 0) & 0xff;
    writeFileSync(path, bytes);
  };

  test("is not SQLite", () =>
    refused((path) => writeFileSync(path, "my shopping list\n".repeat(99))));
  test("has its first bytes flipped", () => refused((path) => flip(path, 0, 16)));
  test("has its whole header flipped", () => refused((path) => flip(path, 16, 100)));
  test("lost its end", () => refused((path) => truncateSync(path, 8192 * 3 + 100)));
  test("lost all but its beginning", () => refused((path) => truncateSync(path, 50)));
  test("lost everything", () => refused((path) => truncateSync(path, 0)));
  test("is another program's", () =>
    refused((path) => {
      rmSync(path);
      using db = new Database(path, { create: true });
      db.run("CREATE TABLE shopping (item TEXT)");
    }));

  test("in its middle: the check tells, the rest is served", async () => {
    await machine.stop();
    const path = join(machine.dataDir, "data.db");
    using db = new Database(path);
    const sql = "SELECT rootpage AS n, (SELECT page_size FROM pragma_page_size) AS size";
    const found = db
      .query<{ n: number; size: number }, []>(`${sql} FROM sqlite_schema WHERE name = 'fs_variant'`)
      .get();
    db.close();
    const { n, size } = found ?? { n: 0, size: 0 };
    expect(n).toBeGreaterThan(1);
    flip(path, (n - 1) * size, (n - 1) * size + 8);
    await machine.start();
    expect(await page()).toBe("one");
    const check = await machine.call<{ ok: boolean; problems: string[] }>("storage.check");
    expect(check.ok).toBe(false);
    expect(check.problems.join("\n")).toContain("fs_variant");
  });
});

test("a directory that is somebody else's is left alone", async () => {
  const dir = machine.scratch("photos");
  writeFileSync(join(dir, "cat.jpg"), "a cat");
  const ended = await start(dir);
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(/^fazt: EBADMSG: .*"cat\.jpg".*\nhint: /);
  expect([...new Bun.Glob("**/*").scanSync({ cwd: dir, dot: true, onlyFiles: false })]).toEqual([
    "cat.jpg",
  ]);
});

test("a file in place of a directory is told", async () => {
  const path = join(machine.scratch("x"), "file");
  writeFileSync(path, "x");
  const ended = await start(path);
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(/^fazt: ENOTDIR: .*\nhint: /);
  expect(readFileSync(path, "utf8")).toBe("x");
});

test("a newer database is opened as it is, used, and stays newer", async () => {
  await machine.stop();
  const path = join(machine.dataDir, "data.db");
  const db = new Database(path);
  db.run("CREATE TABLE future_thing (id INTEGER PRIMARY KEY, what TEXT) STRICT");
  db.run("INSERT INTO future_thing VALUES (1, 'kept')");
  db.run("ALTER TABLE app_app ADD COLUMN colour TEXT");
  db.run("UPDATE app_app SET colour = 'green'");
  db.run("INSERT INTO storage_migration VALUES (9001, 'future', 1)");
  db.run("PRAGMA user_version = 9001");
  db.close();
  await machine.start();
  expect(await page()).toBe("one");
  expect(await machine.call<object>("storage.status")).toMatchObject({ schemaVersion: 9001 });
  expect(await machine.call<object[]>("storage.migrate")).toContainEqual(
    expect.objectContaining({ version: 9001, known: false }),
  );
  await machine.call("app.rename", { app: "site", to: "renamed" });
  await machine.stop();
  using again = new Database(path, { readonly: true });
  expect(again.query("SELECT name, colour FROM app_app").all()).toEqual([
    { name: "renamed", colour: "green" },
  ]);
  expect(again.query("SELECT what FROM future_thing").all()).toEqual([{ what: "kept" }]);
  expect(again.query("PRAGMA user_version").get()).toEqual({ user_version: 9001 });
});

test("a second kernel on one data directory is refused, and names the pid of the first", async () => {
  const ended = await start(machine.dataDir);
  expect(ended).toMatchObject({ code: 1, stdout: "" });
  expect(ended.stderr).toContain("EBUSY");
  expect(ended.stderr).toContain(`pid ${machine.pid} `);
  expect(ended.stderr).toMatch(/\nhint: .+\n$/);
  expect(await page()).toBe("one");
  expect((await machine.faztJson<object[]>("app", "ls")).length).toBe(1);
});

test("a port in use is told; the data directory is free again", async () => {
  const other = machine.scratch("other");
  const ended = await fazt(other, ["proc", "start", "--http", `127.0.0.1:${machine.port}`]);
  expect(ended).toMatchObject({ code: 1, stdout: "" });
  expect(ended.stderr).toMatch(/^fazt: EADDRINUSE: .*\nhint: /);
  expect(ended.stderr).toContain(String(machine.port));
  await using second = await startProcess({ dataDir: other });
  expect(second.ready.ready).toBe(true);
});

const why = mayMount ? "" : " (skipped: no right to mount a tmpfs)";

test.skipIf(!mayMount)(
  `a full disk refuses writes, serves reads, loses nothing, heals${why}`,
  async () => {
    using disk = smallDisk(64);
    await using small = await startProcess({ dataDir: join(disk.path, "data") });
    const dir = small.scratch("site");
    writeFileSync(join(dir, "index.html"), "one");
    await small.faztJson("app", "deploy", dir);
    await small.call("storage.kv.set", { app: "site", key: "a", value: "kept" });
    disk.fill();

    writeFileSync(join(dir, "index.html"), "two");
    const refused = await small.fazt("app", "deploy", dir);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^fazt: ENOSPC: .*\nhint: /);
    const set = small.call("storage.kv.set", { app: "site", key: "b", value: 1 });
    await expect(set).rejects.toMatchObject({ status: 507, body: { code: "ENOSPC" } });
    expect(await (await small.fetch("site", "/")).text()).toBe("one");
    expect(await small.call<object>("storage.kv.get", { app: "site", key: "a" })).toMatchObject({
      value: "kept",
    });
    const health = await small.fetch("os", "/sys/health");
    expect(await health.json()).toMatchObject({ status: "read-only" });

    // Down and up again, still full.
    await small.restart("SIGKILL");
    expect(await (await small.fetch("site", "/")).text()).toBe("one");
    disk.empty();
    await small.restart("SIGTERM");
    expect((await small.fazt("app", "deploy", dir)).code).toBe(0);
    expect(await (await small.fetch("site", "/")).text()).toBe("two");
    expect(await small.call<object>("storage.check")).toMatchObject({ ok: true });
    await small.stop();
  },
);

test("a copy of the directory of a kernel that is down is a whole machine", async () => {
  await machine.stop();
  const copy = join(machine.scratch("copies"), "data");
  cpSync(machine.dataDir, copy, { recursive: true });
  await using second = await startProcess({ dataDir: copy, claimed: false });
  expect(second.ready.setupCode).toBeNull();
  expect(await (await second.fetch("site", "/")).text()).toBe("one");
});
