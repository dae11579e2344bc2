/** The files of a control group, and where the kernel's own group is. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { settings } from "./cgroup.ts";
import { cpuShareMax, kernelWeight, memoryHighShare } from "./limits.ts";
import { findPlace, hierarchyOf } from "./place.ts";

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

describe("where groups are made", () => {
  /** A hierarchy in files: what each group has, what it hands out, and who lives in it. */
  function hierarchy(groups: Record<string, readonly [has: string, gives: string, procs: string]>) {
    const top = mkdtempSync(join(tmpdir(), "fazt-groups-"));
    for (const [name, [has, gives, procs]] of Object.entries(groups)) {
      const dir = join(top, name);
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, "cgroup.controllers"), has);
      writeFileSync(join(dir, "cgroup.subtree_control"), gives);
      writeFileSync(join(dir, "cgroup.procs"), procs);
    }
    return {
      top,
      own: join(top, "session"),
      [Symbol.dispose]: () => rmSync(top, { recursive: true }),
    };
  }

  test("at the top, where the kernel's own is shared with others", () => {
    using found = hierarchy({
      "": ["memory pids", "memory pids", ""],
      session: ["cpu memory pids", "", `1\n${process.pid}\n`],
    });
    const place = findPlace(found);
    expect(place).toEqual({ dir: found.top, controllers: ["memory", "pids"], lacks: null });
  });

  test("in the kernel's own, which hands memory out", () => {
    using found = hierarchy({
      "": ["memory", "memory", ""],
      session: ["memory", "memory", ""],
    });
    expect(findPlace(found)).toMatchObject({ dir: found.own, lacks: null });
  });

  test("the kernel's own part outweighs all apps together", () => {
    using found = hierarchy({
      "": ["cpu memory", "cpu memory", ""],
      session: ["cpu memory", "cpu memory", `${process.pid}\n`],
      "session/kernel": ["", "", ""],
    });
    const weight = join(found.own, "kernel", "cpu.weight");
    writeFileSync(weight, "100");
    expect(findPlace(found)).toMatchObject({ dir: found.own, controllers: ["memory", "cpu"] });
    expect(readFileSync(weight, "utf8")).toBe(String(kernelWeight));
  });

  test("without memory they hold processes, and that is said", () => {
    using found = hierarchy({ "": ["hugetlb", "", ""], session: ["hugetlb", "", ""] });
    const lacks = "cgroup v2 here has no memory controller";
    expect(findPlace(found)).toEqual({ dir: found.own, controllers: [], lacks });
  });

  test("nowhere, when there is none", () => {
    expect(findPlace(null)).toEqual({ why: "the host has no cgroup v2" });
  });
});
