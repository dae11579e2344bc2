/**
 * Control groups, version 2: the host itself holds an app to its memory, processor and threads
 * (cgroup-v2.rst of Linux).
 *
 *   <ours>/kernel        this kernel: a group that has children may hold no process of its own
 *   <ours>/app-<n>       one process of an app
 *
 * Rules: used only where the group this kernel was started in is its own to divide (root, or
 * delegated to it) and has the memory controller; a group is removed when its process is gone,
 * and those of an earlier kernel at the start.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cpuShareMax, memoryHighShare } from "./limits.ts";

/** What one process may use. */
export interface Allowance {
  readonly memoryBytes: number;
  readonly threads: number;
  /** Weight of processor and disk, 1 to 10000; 100 is normal. */
  readonly weight: number;
  /** Processors of the machine. */
  readonly cores: number;
}

/** One process's group. */
export interface Group {
  /** Puts a process in. Throws when the host refuses. */
  add(pid: number): void;
  /** The most it ever used, bytes; null where the host does not say. */
  peakBytes(): number | null;
  /** Whether the host killed in it for want of memory. */
  wasKilled(): boolean;
  /** Removes it; its processes are gone. */
  remove(): void;
}

export interface Groups {
  make(allowance: Allowance): Group;
}

const wanted = ["memory", "pids", "cpu", "io"] as const;
const cpuPeriodUs = 100_000;

/** The files of a group and what stands in them: pure, so that a table tests it. */
export function settings(allowance: Allowance): Record<string, string> {
  const { memoryBytes, threads, weight, cores } = allowance;
  const quotaUs = Math.max(1000, Math.floor(cores * cpuShareMax * cpuPeriodUs));
  return {
    "memory.max": String(memoryBytes),
    "memory.high": String(Math.floor(memoryBytes * memoryHighShare)),
    "memory.swap.max": "0",
    "memory.oom.group": "1",
    "pids.max": String(threads),
    "cpu.weight": String(weight),
    "cpu.max": `${quotaUs} ${cpuPeriodUs}`,
    "io.weight": `default ${weight}`,
  };
}

/** The directory of the group of version 2 a process is in, from two files of its /proc. */
export function ownGroup(mounts: string, membership: string): string | null {
  const mount = mounts.split("\n").find((line) => / - cgroup2 /.test(line));
  const path = /^0::(\/.*)$/m.exec(membership)?.[1];
  const [, , , root = "/", at = ""] = mount?.split(" ") ?? [];
  if (at === "" || path === undefined) return null;
  const below = root === "/" ? path : path.slice(root.length);
  return join(at, below);
}

/** How this host holds memory by groups, or why it does not. */
export function findGroups(dir: string | null = hostGroup()): Groups | { readonly why: string } {
  if (dir === null) return { why: "the host has no cgroup v2" };
  const has = words(join(dir, "cgroup.controllers"));
  if (!has.includes("memory")) return { why: "cgroup v2 here has no memory controller" };
  try {
    const leaf = join(dir, "kernel");
    mkdirSync(leaf, { recursive: true });
    for (const pid of words(join(dir, "cgroup.procs"))) {
      writeFileSync(join(leaf, "cgroup.procs"), pid);
    }
    const enable = wanted.filter((name) => has.includes(name)).map((name) => `+${name}`);
    writeFileSync(join(dir, "cgroup.subtree_control"), enable.join(" "));
    for (const name of readdirSync(dir)) if (/^app-\d+$/.test(name)) removeGroup(join(dir, name));
  } catch (error) {
    return { why: `this kernel's cgroup is not its own to divide: ${(error as Error).message}` };
  }
  let count = 0;
  return { make: (allowance) => makeGroup(join(dir, `app-${++count}`), allowance) };
}

function hostGroup(): string | null {
  try {
    const read = (name: string) => readFileSync(`/proc/self/${name}`, "utf8");
    return ownGroup(read("mountinfo"), read("cgroup"));
  } catch {
    return null; // no /proc
  }
}

function makeGroup(dir: string, allowance: Allowance): Group {
  mkdirSync(dir, { recursive: true });
  for (const [file, value] of Object.entries(settings(allowance))) {
    const path = join(dir, file);
    // A host without a controller has none of its files; memory was checked before.
    if (file === "memory.max" || existsSync(path)) writeFileSync(path, value);
  }
  return {
    add: (pid) => writeFileSync(join(dir, "cgroup.procs"), String(pid)),
    peakBytes: () => {
      const [peak] = words(join(dir, "memory.peak"));
      return peak === undefined ? null : Number(peak);
    },
    wasKilled: () => {
      const events = words(join(dir, "memory.events"));
      const at = events.indexOf("oom_kill");
      return at >= 0 && Number(events[at + 1]) > 0;
    },
    remove: () => removeGroup(dir),
  };
}

function removeGroup(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // Something in it has not ended yet: the next kernel removes it.
  }
}

/** The words of a file; none when it cannot be read. */
function words(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split(/\s+/).filter(Boolean);
  } catch {
    return [];
  }
}
