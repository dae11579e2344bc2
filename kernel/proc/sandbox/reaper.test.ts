/** The reaper, as far as it can be tried without a group to kill (`tests/faults/orphan` is the rest). */
import { expect, test } from "bun:test";
import { assertPlace, createReaper } from "./reaper.ts";

test("a reaper is never told to empty the root, or what is right below it", () => {
  const places = ["", "/", "//", "/proc", "/tmp/", "run/tmp", "//x"];
  for (const place of places) expect(() => assertPlace(place)).toThrow("a reaper may empty");
  for (const place of ["/sys/fs/cgroup/fazt-1", "/srv/x"]) assertPlace(place);
});

test("one without a place is not started", () => {
  const rest = { cpuDir: "", program: ["/nowhere/that/is"] };
  const start = (groupDir: string, tmpDir: string) => createReaper({ ...rest, groupDir, tmpDir });
  expect(() => start("", "/nowhere/at/all")).toThrow("a reaper may empty");
  expect(() => start("/nowhere/at/all", "")).toThrow("a reaper may empty");
});
