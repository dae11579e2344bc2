/** Grouping of test files. */
import { expect, test } from "bun:test";
import { groupsOf } from "./suite.ts";

const files = [
  "ci/tidy.test.ts",
  "kernel/fs/blob.test.ts",
  "kernel/fs/inode.test.ts",
  "tests/browser/wizard.test.ts",
  "tests/golden/table.test.ts",
  "tests/integration/deploy.test.ts",
  "tests/upgrade/broken.test.ts",
];

test("a folder is a group; what needs the machine runs alone and last", () => {
  const groups = groupsOf(files, []).map(({ name, alone }) => [name, alone]);
  expect(groups).toEqual([
    ["ci", false],
    ["kernel/fs", false],
    ["tests/golden", false],
    ["tests/browser/wizard.test.ts", true],
    ["tests/integration/deploy.test.ts", true],
    ["tests/upgrade/broken.test.ts", true],
  ]);
});

test("a filter is a part of a path", () => {
  const groups = groupsOf(files, ["kernel/fs/b", "wizard"]);
  expect(groups.flatMap((group) => group.files)).toEqual([
    "kernel/fs/blob.test.ts",
    "tests/browser/wizard.test.ts",
  ]);
  expect(groupsOf(files, ["nowhere"])).toEqual([]);
});
