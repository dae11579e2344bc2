/**
 * What is made from a replica is looked through by a process that sees it alone, before it takes any
 * place: a database may be whole by every checksum of the store and still be a trap or no database.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readerIn } from "../../init/restore.ts";
import { lookApart } from "../../kernel/storage/mod.ts";
import { deployBook } from "../faults/books.ts";
import { startProcess } from "../process.ts";

/** A row its own table forbids, which no checksum of a page knows of. */
function spoil(path: string): void {
  const db = new Database(path);
  db.run("CREATE TABLE spoilt (a CHECK (a > 0))");
  db.run("PRAGMA ignore_check_constraints = ON");
  db.run("INSERT INTO spoilt VALUES (-1)");
  db.close();
}

test("a good database is put together and given back; a bad one is named and removed", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fazt-look-"));
  mkdirSync(join(dir, "run"));
  const reader = readerIn(join(dir, "run"));
  const { enclose } = reader;
  try {
    const path = join(dir, "made.db");
    const db = new Database(path, { create: true });
    db.run("PRAGMA journal_mode = WAL");
    db.run("CREATE TABLE t (a)");
    db.run("CREATE INDEX i ON t (a)");
    db.run("INSERT INTO t VALUES (1), (2), (3)");
    db.close();
    for (const as of ["whole.db", "quick.db"] as const) {
      expect(await lookApart(path, { enclose, as })).toBe(2);
      const { uid, mode } = statSync(path);
      expect([uid, mode & 0o777]).toEqual([process.getuid?.() ?? 0, 0o600]);
    }
    const again = new Database(path, { readonly: true });
    expect(again.query("SELECT count(*) AS n FROM t").get()).toEqual({ n: 3 });
    again.close();
    for (const end of ["-wal", "-shm"]) rmSync(path + end, { force: true });

    spoil(path);
    await expect(lookApart(path, { enclose, as: "quick.db" })).rejects.toMatchObject({
      code: "EBADMSG",
      message: expect.stringMatching(/^SQLite's check says "CHECK .* spoilt"$/),
    });
    writeFileSync(path, Buffer.alloc(8_192, 7));
    await expect(lookApart(path, { enclose, as: "whole.db" })).rejects.toMatchObject({
      code: "EBADMSG",
    });
    expect(readdirSync(dir).filter((name) => name !== "run")).toEqual([]);
  } finally {
    await reader.close();
    rmSync(dir, { recursive: true });
  }
}, 60_000);

test("a volume from a replica, and a drill of it, are looked through apart", async () => {
  await using machine = await startProcess();
  const id = await deployBook(machine);
  expect(await (await machine.fetch("book", "/")).text()).toBe("open");
  await machine.call("driver.replica.set", { url: `file://${machine.scratch("replica")}` });
  await machine.call("proc.stop", { app: "book" });
  const run = join(machine.dataDir, "run");
  const seen = new Set<string>();
  const watching = watch(run, (_event, name) => seen.add(String(name).slice(0, 6)));
  try {
    await machine.call("driver.replica.flush");
    await machine.call("driver.replica.restoreApp", { app: "book" });
    expect(await machine.call("driver.replica.verify")).toMatchObject({ ok: true });
    expect(seen).toContain("check-");

    spoil(join(machine.dataDir, "volumes", id, "app.db"));
    await machine.call("driver.replica.flush");
    const says = /^cannot restore ".*": SQLite's check says "CHECK .* spoilt"$/;
    expect(await machine.call("driver.replica.verify")).toMatchObject({
      ok: false,
      databases: [{ problem: null }, { problem: expect.stringMatching(says) }],
    });
    const restoring = machine.call("driver.replica.restoreApp", { app: "book" });
    await expect(restoring).rejects.toThrow(/^EBADMSG: cannot restore "book": SQLite's check/);
    const left = readdirSync(run).filter((name) => /^(check|drill|restore)/.test(name));
    expect(left).toEqual([]);
  } finally {
    watching.close();
  }
}, 60_000);

/** What a descriptor stands for; "" when it is closed meanwhile. */
function pathOf(descriptor: string): string {
  try {
    return readlinkSync(descriptor);
  } catch {
    return "";
  }
}

test("on a host without a sandbox the replicator looks itself, and never the kernel", async () => {
  const { PATH } = process.env;
  process.env["PATH"] = "/nonexistent";
  try {
    await using machine = await startProcess();
    await machine.call("driver.replica.set", { url: `file://${machine.scratch("replica")}` });
    await machine.call("driver.replica.flush");
    const descriptors = new Set<string>();
    const opened = () => {
      const folder = `/proc/${machine.pid}/fd`;
      for (const name of readdirSync(folder)) descriptors.add(pathOf(join(folder, name)));
    };
    let over = false;
    const verifying = machine.call("driver.replica.verify").finally(() => {
      over = true;
    });
    for (; !over; await new Promise((resolve) => setImmediate(resolve))) opened();
    expect(await verifying).toMatchObject({ ok: true, databases: [{ problem: null }] });
    expect([...descriptors].filter((path) => path.includes("drill"))).toEqual([]);
  } finally {
    process.env["PATH"] = PATH;
  }
}, 60_000);
