/**
 * Processors shared out by control groups of version 1 (cgroup-v1/cgroups.rst and
 * sched-design-CFS.rst of Linux), for hosts that keep that controller in the older hierarchy.
 *
 *   <own group>/fazt-<data directory>-<run>/kernel   the kernel and what it does itself
 *   <own group>/fazt-<data directory>-<run>/apps     apps, and whoever works for them
 *   <own group>/fazt-<data directory>-<run>/greedy   those that take what nobody else wants
 *
 * Rules
 * 1. Nothing that belongs to others is moved: only this kernel, and processes it has started.
 * 2. Beside other programs the kernel and all of its apps count as much as two of them.
 * 3. The reaper removes the groups; the next kernel on the data directory what was left of them.
 */
import { accessSync, constants, existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { appsShares, kernelShares, ownShares } from "./limits.ts";
import { namesIn, words } from "./place.ts";

export interface Processors {
  /** What the reaper removes. */
  readonly dir: string;
  /** The kernel takes its place; before, its children are nobody's. */
  enter(): void;
  /** Puts a process, all of its threads, among the apps or the greedy; whether that worked. */
  put(pid: number, greedy: boolean): boolean;
  /** The kernel and what it has started go back to where it was: nobody waits for these groups. */
  leave(): void;
}

/** A kernel started by another one is not below it. */
const ofAnother = /\/fazt-[^/]+-\d+\/kernel$/;

/** Where the controller is mounted, and which group a process is in: pure. Null without it. */
export function cpuGroupOf(mounts: string, membership: string): string | null {
  const mount = mounts.split("\n").find((line) => {
    const [, kind = "", , options = ""] = / - (\S+) (\S+) (\S+)/.exec(line) ?? [];
    return kind === "cgroup" && options.split(",").includes("cpu");
  });
  const path = /^\d+:(?:[^:\n]*,)?cpu(?:,[^:\n]*)?:(\/.*)$/m.exec(membership)?.[1];
  const [, , , root = "/", top = ""] = mount?.split(" ") ?? [];
  if (top === "" || path === undefined) return null;
  const below = root === "/" ? path : path.slice(root.length);
  return join(top, below.replace(ofAnother, "/"));
}

/**
 * Makes the groups of this run in `own`; null where that is not to be had. Those of the processes
 * in `beside` stay.
 */
export function openProcessors(
  own: string | null,
  name: string,
  beside: readonly number[] = [],
): Processors | null {
  if (own === null) return null;
  const [owner = name] = name.split(/-\d+$/);
  const spared = beside.map((pid) => `${owner}-${pid}`);
  for (const left of namesIn(own)) {
    if (left.startsWith(`${owner}-`) && !spared.includes(left)) remove(join(own, left));
  }
  const dir = join(own, name);
  const group = (part: string) => join(dir, part);
  try {
    accessSync(own, constants.W_OK);
    for (const path of [dir, group("kernel"), group("apps"), group("greedy")]) mkdirSync(path);
    // Where even the greedy have to be given their part, niceness does as well.
    if (!existsSync(join(group("greedy"), "cpu.idle"))) throw new Error("older than Linux 5.15");
    writeFileSync(join(group("greedy"), "cpu.idle"), "1");
    writeFileSync(join(dir, "cpu.shares"), String(ownShares));
    writeFileSync(join(group("kernel"), "cpu.shares"), String(kernelShares));
    writeFileSync(join(group("apps"), "cpu.shares"), String(appsShares));
  } catch {
    remove(dir);
    return null; // the hierarchy belongs to somebody else
  }
  return {
    dir,
    enter: () => void move(process.pid, group("kernel")),
    put: (pid, greedy) => move(pid, group(greedy ? "greedy" : "apps")),
    leave: () => {
      for (const pid of words(join(group("kernel"), "cgroup.procs"))) move(Number(pid), own);
    },
  };
}

function move(pid: number, group: string): boolean {
  try {
    writeFileSync(join(group, "cgroup.procs"), String(pid));
    return true;
  } catch {
    return false; // it has just ended, or may not be moved
  }
}

/** What a kernel that was killed has started and still runs (a replicator) goes where that was. */
export function remove(dir: string): void {
  for (const part of [...namesIn(dir).map((name) => join(dir, name)), dir]) {
    if (part !== dir) {
      for (const pid of words(join(part, "cgroup.procs"))) move(Number(pid), dirname(dir));
    }
    try {
      rmdirSync(part);
    } catch {
      // A file of the group, or a group that is not empty.
    }
  }
}
