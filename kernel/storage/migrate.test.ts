/** EDD: an older binary on a newer database, and migrations that fail. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../errno.ts";
import { realMachine } from "../machine.ts";
import type { Migration } from "./migrate.ts";
import { createStorage } from "./storage.ts";
import { temporaryDirectory } from "./testing.ts";

const machine = realMachine();
const first: Migration = {
  version: 60,
  domain: "note",
  sql: "CREATE TABLE note_line (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
};
const second: Migration = {
  version: 61,
  domain: "note",
  sql: `ALTER TABLE note_line ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';
        CREATE INDEX note_line_by_mood ON note_line (mood);
        CREATE TABLE note_tag (name TEXT NOT NULL PRIMARY KEY) STRICT;`,
};

test("an older binary reads and writes a newer database, and the newer one goes on", async () => {
  using at = temporaryDirectory();
  const dataDir = join(at.path, "data");
  const open = (migrations: Migration[]) => createStorage({ machine, dataDir, migrations });

  const newest = open([first, second]);
  await newest.write((tx) => tx.run("INSERT INTO note_line VALUES (1, 'new', 'glad')"));
  await newest.close();

  const older = open([first]);
  expect(older.status().schemaVersion).toBe(61);
  expect(older.migrations().at(-1)).toMatchObject({ version: 61, domain: "note", known: false });
  expect(older.read.all("SELECT id, text FROM note_line")).toEqual([{ id: 1, text: "new" }]);
  await older.write((tx) => tx.run("INSERT INTO note_line (id, text) VALUES (2, 'old')"));
  await older.close();

  const again = open([first, second]);
  expect(again.read.all("SELECT text, mood FROM note_line ORDER BY id")).toEqual([
    { text: "new", mood: "glad" },
    { text: "old", mood: "calm" },
  ]);
  expect(again.migrations().every((step) => step.known && step.appliedAt !== null)).toBe(true);
  await again.close();
});

test("what is pending is applied in order of version, once", async () => {
  using at = temporaryDirectory();
  const dataDir = join(at.path, "data");
  for (const migrations of [
    [second, first],
    [first, second],
  ]) {
    const storage = createStorage({ machine, dataDir, migrations });
    expect(storage.migrations().map((step) => step.version)).toEqual([1, 60, 61]);
    await storage.close();
  }
});

test("a migration that fails leaves nothing of itself and the ones before it stay", async () => {
  using at = temporaryDirectory();
  const dataDir = join(at.path, "data");
  const broken = { ...second, sql: `${second.sql} INSERT INTO note_nowhere VALUES (1)` };
  expect(() => createStorage({ machine, dataDir, migrations: [first, broken] })).toThrow(
    "no such table",
  );
  const storage = createStorage({ machine, dataDir, migrations: [first] });
  expect(storage.status().schemaVersion).toBe(60);
  expect(storage.read.all("SELECT name FROM sqlite_schema WHERE name = 'note_tag'")).toEqual([]);
  await storage.close();
});

test("a migration that is not EDD is never applied", () => {
  using at = temporaryDirectory();
  const drop = { version: 61, domain: "note", sql: "DROP TABLE note_line" };
  const dataDir = join(at.path, "data");
  expect(() => createStorage({ machine, dataDir, migrations: [first, drop] })).toThrow("is EDD");
});

test("another program's database is refused untouched: EBADMSG", () => {
  using at = temporaryDirectory();
  mkdirSync(join(at.path, "data"));
  const foreign = new Database(join(at.path, "data", "data.db"), { create: true });
  foreign.exec("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7)");
  foreign.close();
  const open = () => createStorage({ machine, dataDir: join(at.path, "data"), migrations: [] });
  expect(open).toThrow("another program made this database");
  try {
    open();
  } catch (error) {
    expect(error).toBeInstanceOf(SysError);
    expect((error as SysError).code).toBe("EBADMSG");
    expect((error as SysError).hint).not.toBeNull();
  }
  const still = new Database(join(at.path, "data", "data.db"));
  expect(still.query("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "theirs" }]);
  still.close();
});
