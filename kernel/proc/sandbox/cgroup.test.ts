/** The files of a control group, and where the kernel's own group is. */
import { expect, test } from "bun:test";
import { settings } from "./cgroup.ts";
import { cpuShareMax, memoryHighShare } from "./limits.ts";
import { hierarchyOf } from "./place.ts";

test("an allowance is what the files of a group say", () => {
  const files = settings({ memoryBytes: 1_000_000, threads: 64, weight: 250, cores: 2 });
  expect(files).toMatchObject({
    "memory.max": "1000000",
    "memory.high": String(1_000_000 * memoryHighShare),
    "memory.swap.max": "0",
    "pids.max": "64",
    "cpu.weight": "250",
    "io.weight": "default 250",
  });
  expect(files["cpu.max"]).toBe(`${2 * cpuShareMax * 100_000} 100000`);
});

const hierarchy = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const divided = "31 23 0:27 /part /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
const oldOnly = "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

test.each([
  ["the root", hierarchy, "0::/\n", "/sys/fs/cgroup/"],
  [
    "a service",
    hierarchy,
    "0::/system.slice/fazt.service\n",
    "/sys/fs/cgroup/system.slice/fazt.service",
  ],
  ["a part of the tree", divided, "0::/part/fazt\n", "/sys/fs/cgroup/fazt"],
  ["version 1 alone", oldOnly, "4:memory:/x\n", null],
  ["no membership of version 2", hierarchy, "4:memory:/x\n", null],
])("%s", (_, mounts, membership, path) => {
  expect(hierarchyOf(mounts, membership)?.own ?? null).toBe(path);
});
