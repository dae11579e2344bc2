/** Which migrations are left to apply, and which files are refused. */
import { expect, test } from "bun:test";
import { type Applied, pending } from "./apply.ts";

const files = (...names: string[]) =>
  names.map((name) => ({ name, hash: `hash of ${name}`, sql: "SELECT 1" }));
const applied = (...names: string[]): Applied[] =>
  names.map((name) => ({ name, hash: `hash of ${name}` }));

test.each([
  [["a", "b"], [], ["a", "b"]],
  [["a", "b", "c"], ["a", "b"], ["c"]],
  [["a", "b"], ["a", "b"], []],
  [["a"], ["a", "b"], []],
  [[], ["a"], []],
])("%j after %j: %j", (names, done, left) => {
  expect(pending(files(...names), applied(...done)).map(({ name }) => name)).toEqual(left);
});

test("a changed file and one that comes too late are refused by name", () => {
  const changed = [{ name: "a", hash: "another" }];
  expect(() => pending(files("a"), changed)).toThrow('"a": it was applied already and has changed');
  expect(() => pending(files("a", "b"), applied("b"))).toThrow('"a": it sorts before "b"');
});
