/** What the host says of its memory, read from its own texts and from the host itself. */
import { expect, test } from "bun:test";
import { freeShareOf, groupShareOf, groupsOf, measure, stallOf } from "./measure.ts";

test("the share of memory to be had", () => {
  const text = "MemTotal:       1000 kB\nMemFree:          50 kB\nMemAvailable:    250 kB\n";
  expect(freeShareOf(text)).toBe(0.25);
  expect(freeShareOf("")).toBe(1);
});

test("control groups of both versions, and none", () => {
  expect(groupsOf("0::/system.slice/fazt.service\n")).toEqual([
    "/sys/fs/cgroup/system.slice/fazt.service",
  ]);
  expect(groupsOf("9:memory:/fazt\n3:cpu,cpuacct:/fazt\n0::/\n")).toEqual([
    "/sys/fs/cgroup/memory/fazt",
    "/sys/fs/cgroup/",
  ]);
  expect(groupsOf("")).toEqual([]);
});

test("what a group has left: pages of files can be given back", () => {
  const stat = "anon 500\ninactive_file 300\n";
  expect(groupShareOf({ limit: "1000\n", used: "800\n", stat })).toBe(0.5);
  expect(groupShareOf({ limit: "max\n", used: "800\n", stat })).toBe(1);
  expect(groupShareOf({ limit: "9223372036854771712\n", used: "800\n", stat })).toBe(1);
});

test("the time everything waited", () => {
  expect(stallOf("some avg10=3.00 avg60=1\nfull avg10=12.50 avg60=0.10 total=7\n")).toBe(12.5);
  expect(stallOf("")).toBe(0);
});

test("memory this process takes is seen", () => {
  const before = measure();
  const held = new Uint8Array(96 * 1024 * 1024).fill(1);
  const after = measure();
  expect(after.kernelBytes - before.kernelBytes).toBeGreaterThan(held.length / 2); // Garbage of before may go meanwhile.
  expect(after.memoryFreeShare).toBeGreaterThan(0);
  expect(after.memoryFreeShare).toBeLessThanOrEqual(1);
});
