/** One statement at a time: what counts as a second one. */
import { expect, test } from "bun:test";
import { hasTail } from "./statement.ts";

test.each<[string, boolean]>([
  ["SELECT 1", false],
  ["SELECT 1;", false],
  ["SELECT 1; ; -- done; really\n /* no; more */", false],
  ["SELECT 1; SELECT 2", true],
  ["SELECT 1; /* unclosed; SELECT 2", false],
  ["SELECT ';' || ';''; '", false],
  ['SELECT "a;b", [c;d], `e;f`', false],
  ["SELECT '--'; DELETE FROM t", true],
  ["-- a; comment\nSELECT 1", false],
  ["CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END", false],
  ["CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END;", false],
  ["CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END; DROP TABLE a", true],
])("%j: %p", (sql, more) => {
  expect(hasTail(sql)).toBe(more);
});
