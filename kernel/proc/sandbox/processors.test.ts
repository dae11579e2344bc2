/** Groups of version 1: where they are found, and on a host that has them a process put into one. */
import { expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuGroupOf, openProcessors } from "./processors.ts";
import { createReaper } from "./reaper.ts";

const alone = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
const joined = "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
const part = "31 23 0:27 /box /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
const other = "32 23 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";
const newer = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

test.each([
  ["the root", alone, "1:cpu:/\n0::/\n", "/sys/fs/cgroup/cpu/"],
  ["a group", other + alone, "2:cpuset:/y\n1:cpu:/x\n", "/sys/fs/cgroup/cpu/x"],
  ["below another kernel", alone, "1:cpu:/x/fazt-0a1b-77/kernel\n", "/sys/fs/cgroup/cpu/x/"],
  ["beside accounting", joined, "4:cpu,cpuacct:/x\n", "/sys/fs/cgroup/cpu,cpuacct/x"],
  ["a part of the tree", part, "1:cpu:/box/x\n", "/sys/fs/cgroup/cpu/x"],
  ["version 2 alone", newer, "0::/x\n", null],
  ["sets of processors alone", other, "2:cpuset:/\n", null],
  ["accounting alone", alone, "2:cpuacct:/\n", null],
])("%s", (_, mounts, membership, path) => {
  expect(cpuGroupOf(mounts, membership)).toBe(path);
});

test("a directory that is no group is left as it was", () => {
  const dir = mkdtempSync(join(tmpdir(), "fazt-processors-"));
  try {
    expect(openProcessors(dir, "fazt-test-1")).toBeNull();
    expect(openProcessors(join(dir, "absent"), "fazt-test-1")).toBeNull();
    expect(openProcessors(null, "fazt-test-1")).toBeNull();
    expect(readdirSync(dir)).toEqual([]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

const read = (name: string): string => readFileSync(`/proc/self/${name}`, "utf8");
const own = existsSync("/proc/self/cgroup") ? cpuGroupOf(read("mountinfo"), read("cgroup")) : null;
/** Null on a host without them, or where they belong to somebody else. */
const groups = openProcessors(own, `fazt-test${process.pid}-1`);
const groupOf = (pid: number): string => {
  const text = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  return /^\d+:(?:[^:\n]*,)?cpu(?:,[^:\n]*)?:.*?([^/]*)$/m.exec(text)?.[1] ?? "";
};

test.if(groups !== null)("a process is put among the apps, the greedy, and back", async () => {
  const child = Bun.spawn(["sleep", "600"]);
  try {
    expect(groups?.put(child.pid, false)).toBe(true);
    expect(groupOf(child.pid)).toBe("apps");
    expect(groups?.put(child.pid, true)).toBe(true);
    expect(groupOf(child.pid)).toBe("greedy");
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  expect(groups?.put(child.pid, false)).toBe(false);
  // Of a kernel that is replaced by this one nothing is taken away.
  const beside = openProcessors(own, `fazt-test${process.pid}-3`, [1]);
  expect([existsSync(groups?.dir ?? ""), beside !== null]).toEqual([true, true]);
  // What an earlier run left is removed by the next.
  const next = openProcessors(own, `fazt-test${process.pid}-2`);
  expect([existsSync(groups?.dir ?? ""), next !== null]).toEqual([false, true]);
  for (const name of ["kernel", "apps", "greedy", ""]) rmdirSync(join(next?.dir ?? "", name));
});

const main = new URL("../../../init/main.ts", import.meta.url).pathname;
const program = [process.execPath, "--no-env-file", "--config=/dev/null", "--no-install", main];
/** Neither groups of version 2 nor mounts: a directory that is not there. */
const nowhere = join(tmpdir(), `fazt-nowhere-${process.pid}`);
const sweepers: Readonly<Record<string, (name: string, dir: string) => Promise<unknown>>> = {
  "its reaper": (_, cpuDir) =>
    createReaper({ groupDir: nowhere, tmpDir: nowhere, cpuDir, program }).close(),
  "its reaper where there is no shell": (_, dir) => {
    const words = [...program, "reaper", nowhere, nowhere, dir];
    return Bun.spawn(words, { stdio: ["ignore", "ignore", "ignore"] }).exited;
  },
  "the next kernel": async (name) => {
    const next = openProcessors(own, `${name}-2`);
    for (const part of ["kernel", "apps", "greedy", ""]) rmdirSync(join(next?.dir ?? "", part));
  },
};

test.if(groups !== null).each(Object.entries(sweepers))(
  "what outlives its kernel keeps no group from %s",
  async (_, sweep) => {
    const name = `fazt-outlived${process.pid}`;
    const dir = openProcessors(own, `${name}-1`)?.dir ?? "";
    const child = Bun.spawn(["sleep", "600"]);
    try {
      writeFileSync(join(dir, "kernel", "cgroup.procs"), String(child.pid));
      expect(groupOf(child.pid)).toBe("kernel");
      await sweep(name, dir);
      expect(existsSync(dir)).toBe(false);
      expect(child.exitCode).toBeNull();
      // Not where this process is, which other tests here put into a group of a kernel's.
      const there = readFileSync(join(own ?? "", "cgroup.procs"), "utf8").split("\n");
      expect(there).toContain(String(child.pid));
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  },
);
