/** The EDD linter: what it allows, what it refuses, and that it reads SQL as SQLite does. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { lintMigration, splitStatements, tokenize } from "./lint.ts";
import { migrations } from "./schema.ts";

const lint = (sql: string) => lintMigration({ version: 9, domain: "fs", sql });

describe("what EDD allows", () => {
  test.each([
    "CREATE TABLE fs_a (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS fs_a (id TEXT PRIMARY KEY) WITHOUT ROWID, STRICT",
    'CREATE TABLE "fs_a" ("drop" TEXT, [delete] TEXT, `update` TEXT) STRICT',
    "CREATE TABLE fs_a (a TEXT CHECK (a <> 'x')) STRICT; CREATE UNIQUE INDEX i ON fs_a (a);",
    "CREATE TABLE fs_a (a TEXT REFERENCES fs_b (id)) STRICT",
    "CREATE INDEX fs_a_by_b ON fs_a (b) WHERE b IS NOT NULL",
    "ALTER TABLE fs_a ADD COLUMN b TEXT",
    "ALTER TABLE fs_a ADD b INTEGER NOT NULL DEFAULT 0",
    "INSERT INTO fs_a (a) VALUES ('DROP TABLE x; DELETE FROM y')",
    "INSERT OR IGNORE INTO fs_a (a) VALUES (0x1F, 1.5e3, x'00')",
    "CREATE VIEW fs_v AS SELECT * FROM fs_a",
    "CREATE VIRTUAL TABLE fs_search USING fts5(text, content='fs_a')",
    `CREATE TRIGGER t AFTER UPDATE OF a ON fs_a BEGIN
       INSERT INTO fs_log (x) VALUES (CASE WHEN new.a THEN 1 ELSE 2 END);
       INSERT INTO fs_log (x) VALUES (3);
     END; CREATE INDEX j ON fs_a (c)`,
    "-- DROP TABLE fs_a\n/* DELETE FROM fs_a; 'unfinished */ ;;",
    "",
  ])("%j", (sql) => {
    expect(lint(sql)).toEqual([]);
  });
});

describe("what EDD refuses", () => {
  test.each([
    ["DROP TABLE fs_a", "only CREATE"],
    ["/* x */ dRoP -- y\n INDEX i", "only CREATE"],
    ["CREATE TABLE fs_a (a TEXT) STRICT; ; DROP TABLE fs_a", "only CREATE"],
    ["-- a line comment ends with a line feed\nDELETE FROM fs_a", "only CREATE"],
    ["DELETE FROM fs_a", "only CREATE"],
    ["UPDATE fs_a SET a = 1", "only CREATE"],
    ["REPLACE INTO fs_a VALUES (1)", "only CREATE"],
    ["WITH x AS (SELECT 1) DELETE FROM fs_a", "only CREATE"],
    ["VACUUM", "only CREATE"],
    ["PRAGMA writable_schema = ON", "only CREATE"],
    ["ATTACH 'x' AS y", "only CREATE"],
    ["COMMIT; BEGIN", "only CREATE"],
    ["ALTER TABLE fs_a RENAME TO fs_b", "only adds"],
    ["ALTER TABLE fs_a RENAME COLUMN a TO b", "only adds"],
    ["ALTER TABLE fs_a DROP COLUMN a", "only adds"],
    ['ALTER TABLE "fs_a" DROP COLUMN "add"', "only adds"],
    ["ALTER TABLE fs_a ADD COLUMN b TEXT NOT NULL", "needs a DEFAULT"],
    ["ALTER TABLE fs_a ADD COLUMN b TEXT NOT /* DEFAULT 1 */ NULL", "needs a DEFAULT"],
    ["ALTER TABLE fs_a ADD COLUMN b TEXT CHECK (b <> '')", "narrows"],
    ["ALTER TABLE fs_a ADD COLUMN b TEXT UNIQUE", "narrows"],
    ["ALTER TABLE fs_a ADD COLUMN b INT GENERATED ALWAYS AS (a)", "narrows"],
    ["ALTER TABLE fs_a ADD COLUMN b TEXT REFERENCES fs_b ON DELETE SET NULL", "foreign key"],
    ["CREATE TABLE fs_a (a TEXT REFERENCES b (id) ON DELETE CASCADE) STRICT", "foreign key"],
    ["CREATE TABLE fs_a (a TEXT REFERENCES b (id) ON UPDATE CASCADE) STRICT", "foreign key"],
    ["CREATE TABLE fs_a (a TEXT)", "STRICT"],
    ["CREATE TABLE fs_a (a TEXT) -- STRICT", "STRICT"],
    ["CREATE TABLE fs_a (STRICT TEXT)", "STRICT"],
    ["CREATE TABLE fs_a (a TEXT) WITHOUT ROWID", "STRICT"],
    ["CREATE TABLE fs_a AS SELECT 1 AS strict", "without types"],
    ["CREATE TEMP TABLE fs_a (a TEXT) STRICT", "temporary"],
    ["CREATE UNIQUE INDEX i ON fs_a (a)", "UNIQUE"],
    ["CREATE TABLE storage_kv2 (a TEXT) STRICT", 'a table of fs is "fs_…"'],
    ["CREATE TABLE temp.fs_a (a TEXT) STRICT", "without its database"],
    ["ALTER TABLE storage_kv ADD COLUMN x TEXT", 'a table of fs is "fs_…"'],
    ["INSERT INTO storage_kv VALUES (1)", 'a table of fs is "fs_…"'],
    ["INSERT OR REPLACE INTO fs_a VALUES (1)", "REPLACE"],
    ["INSERT INTO fs_a VALUES (1) ON CONFLICT DO UPDATE SET a = 2", "DO UPDATE"],
    ["INSERT INTO fs_a VALUES (?)", "parameters"],
    ["CREATE TRIGGER t AFTER INSERT ON fs_a BEGIN DELETE FROM fs_b; END", "DELETE"],
    ["CREATE TRIGGER t AFTER INSERT ON fs_a BEGIN UPDATE fs_b SET a = 1; END", "UPDATE"],
    ["CREATE TRIGGER t BEFORE INSERT ON fs_a BEGIN SELECT RAISE(ABORT, 'no'); END", "RAISE"],
    ["CREATE TRIGGER t INSTEAD OF INSERT ON fs_v BEGIN SELECT 1; END", "INSTEAD OF"],
    [
      "CREATE TRIGGER t AFTER INSERT ON fs_a BEGIN SELECT CASE WHEN 1 THEN 2 END; END; DROP TABLE x",
      "only CREATE",
    ],
    ["INSERT INTO fs_a VALUES ('unfinished)", "begins nothing"],
    ["CREATE TABLE fs_a (a TEXT) STRICT /* unfinished", "begins nothing"],
    ["CREATE TABLE fs_a (a TEXT) STRICT;\0 DROP TABLE fs_a", "NUL"],
    ["\uFEFFDROP TABLE fs_a", "begins nothing"],
  ])("%j: %s", (sql, fault) => {
    expect(lint(sql).join("\n")).toContain(fault);
  });
});

test("storage's own schema is EDD", () => {
  expect(migrations.flatMap(lintMigration)).toEqual([]);
});

test("statements are split where SQLite splits them", () => {
  const sql = `CREATE TABLE a (x TEXT DEFAULT ';') STRICT; -- ;
    CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT ';'; SELECT CASE 1 WHEN 1 THEN 2 END; END;
    CREATE TABLE "b;" (y TEXT) STRICT`;
  const tokens = tokenize(sql);
  if (typeof tokens === "string") throw new Error(tokens);
  expect(splitStatements(tokens)).toHaveLength(3);
  const db = new Database(":memory:");
  db.exec(sql);
  expect(db.query("SELECT count(*) AS n FROM sqlite_schema").get()).toEqual({ n: 3 });
  db.close();
});
