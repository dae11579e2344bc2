/**
 * An older binary on a newer database and back: the newest schema is three additive steps beyond ours,
 * applied by real migrations; our kernel runs on it in a process of its own.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { allMigrations } from "../../kernel/boot.ts";
import { realMachine } from "../../kernel/machine.ts";
import { createStorage, type Migration } from "../../kernel/storage/mod.ts";
import { KernelProcess } from "../process.ts";

const steps: Migration[] = [
  {
    version: 9001,
    domain: "future",
    sql: "CREATE TABLE future_thing (id INTEGER PRIMARY KEY, what TEXT NOT NULL) STRICT;",
  },
  {
    version: 9002,
    domain: "app",
    sql: `ALTER TABLE app_app ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';
      CREATE INDEX app_app_colour ON app_app (colour);`,
  },
  { version: 9003, domain: "storage", sql: "ALTER TABLE storage_kv ADD COLUMN origin TEXT;" },
];

const openNewer = (dataDir: string) =>
  createStorage({ machine: realMachine(), dataDir, migrations: [...allMigrations(), ...steps] });

test("open newest, write, open with ours, read and write, open newest again", async () => {
  await using machine = new KernelProcess({});
  const { dataDir } = machine;
  const scope = { appId: "owner", userId: null };

  // The newest binary makes the database and writes into all of it.
  const newest = openNewer(dataDir);
  expect(newest.status().schemaVersion).toBe(9003);
  await newest.kv.set(scope, { key: "from-newest", value: [1, 2, 3] });
  await newest.write((tx) => {
    tx.run("INSERT INTO future_thing VALUES (1, 'kept')");
    tx.run("UPDATE storage_kv SET origin = 'newest'");
  });
  await newest.close();

  // Ours claims it, deploys, writes; it neither knows nor harms what is beyond it.
  await machine.start();
  await machine.claim();
  expect(await machine.call<object[]>("storage.migrate")).toContainEqual(
    expect.objectContaining({ version: 9001, domain: "future", known: false }),
  );
  const dir = machine.scratch("site");
  writeFileSync(join(dir, "index.html"), "one");
  await machine.faztJson("app", "deploy", dir);
  await machine.call("storage.kv.set", { app: "site", key: "from-ours", value: "ours" });
  expect(await (await machine.fetch("site", "/")).text()).toBe("one");
  expect(await machine.call<object>("storage.check")).toMatchObject({ ok: true });
  await machine.stop();

  // The newest again: what both wrote is there, new columns have their defaults.
  const again = openNewer(dataDir);
  expect(again.kv.get(scope, "from-newest")?.value).toEqual([1, 2, 3]);
  expect(again.read.all<object>("SELECT * FROM future_thing")).toEqual([{ id: 1, what: "kept" }]);
  expect(again.read.get<object>("SELECT name, colour FROM app_app")).toEqual({
    name: "site",
    colour: "grey",
  });
  expect(again.read.all<object>("SELECT key, origin FROM storage_kv ORDER BY key")).toEqual([
    { key: "from-newest", origin: "newest" },
    { key: "from-ours", origin: null },
  ]);
  await again.write((tx) => tx.run("UPDATE app_app SET colour = 'green'"));
  expect(await again.check()).toMatchObject({ ok: true });
  await again.close();

  // And ours once more.
  await machine.start();
  expect(await (await machine.fetch("site", "/")).text()).toBe("one");
});
