/**
 * Control groups, version 2: where every process of an app is born, held and killed
 * (cgroup-v2.rst of Linux).
 *
 *   <place>/fazt-<data directory>-<run>          all apps of one run of one kernel
 *   <place>/fazt-<data directory>-<run>/app-<n>  one process of an app and what is around it
 *
 * Invariants
 * 1. A process is put into its group by the call that makes it: there is no moment in which it
 *    exists and its group does not hold it.
 * 2. Who kills the upper group kills every process of every app, whatever its user, whatever it
 *    is doing, forking included; the reaper knows that group before the first process exists.
 * 3. Only whoever holds the lock of the data directory removes groups of that directory, but those
 *    of a kernel that hands over to it.
 */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpuShareMax, memoryHighShare } from "./limits.ts";
import { namesIn, type Place, words } from "./place.ts";

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
  /** The directory, for the call that makes the process. */
  readonly dir: string;
  /** SIGKILL to everything in it. */
  kill(): void;
  /** The most it ever used, bytes; null where the host does not say. */
  peakBytes(): number | null;
  /** Processor time of all that ever were in it, milliseconds; null where the host does not say. */
  usedMs(): number | null;
  /** Whether the host killed in it for want of memory. */
  wasKilled(): boolean;
  /** Whether its processes use a processor only while nobody else wants it. */
  giveWay(yes: boolean): void;
  /** Removes it; its processes are gone. */
  remove(): void;
}

export interface Groups {
  /** The group of all of them. */
  readonly dir: string;
  /** Why this host does not hold memory by groups; null when it does. */
  readonly lacks: string | null;
  /** Whether it shares processors out by groups. */
  readonly shares: boolean;
  /** Makes a group. Throws what the host says. */
  make(allowance: Allowance): Group;
}

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

/**
 * The groups of one run of the kernel on a data directory, whose `runDir` names it. Groups of its
 * earlier runs are killed and removed, but those of the processes in `beside`. Throws what the host
 * says.
 */
export function openGroups(
  { dir: at, lacks, controllers }: Place,
  runDir: string,
  beside: readonly number[] = [],
): Groups {
  const owner = `fazt-${new Bun.CryptoHasher("sha256").update(runDir).digest("hex").slice(0, 12)}`;
  const spared = beside.map((pid) => `${owner}-${pid}`);
  for (const name of namesIn(at)) {
    if (name.startsWith(`${owner}-`) && !spared.includes(name)) destroy(join(at, name));
  }
  const dir = join(at, `${owner}-${process.pid}`);
  mkdirSync(dir);
  // The kernel's own word on what its apps may use; without it a group holds nothing but processes.
  const enable = controllers.map((name) => `+${name}`).join(" ");
  if (enable !== "") writeFileSync(join(dir, "cgroup.subtree_control"), enable);
  if (!existsSync(join(dir, "cgroup.kill"))) {
    rmdirSync(dir);
    throw new Error("it is older than Linux 5.14");
  }
  let count = 0;
  const leftovers = new Set<string>();
  const remove = (path: string) => {
    leftovers.add(path);
    // A process that is just being taken down keeps its group: then it goes with a later one.
    for (const left of leftovers) if (removed(left)) leftovers.delete(left);
  };
  return {
    dir,
    lacks,
    shares: controllers.includes("cpu"),
    make: (allowance) => makeGroup(join(dir, `app-${++count}`), allowance, remove),
  };
}

function makeGroup(dir: string, allowance: Allowance, remove: (dir: string) => void): Group {
  mkdirSync(dir);
  for (const [file, value] of Object.entries(settings(allowance))) {
    // A host without a controller has none of its files.
    if (existsSync(join(dir, file))) writeFileSync(join(dir, file), value);
  }
  return {
    dir,
    kill: () => killAll(dir),
    peakBytes: () => {
      const [peak] = words(join(dir, "memory.peak"));
      return peak === undefined ? null : Number(peak);
    },
    usedMs: () => {
      const [name, us] = words(join(dir, "cpu.stat"));
      return name === "usage_usec" ? Number(us) / 1000 : null;
    },
    wasKilled: () => {
      const events = words(join(dir, "memory.events"));
      const at = events.indexOf("oom_kill");
      return at >= 0 && Number(events[at + 1]) > 0;
    },
    giveWay: (yes) => {
      // What is no longer idle has the normal weight again, whatever it had.
      const weight = String(allowance.weight);
      const files = yes ? { "cpu.idle": "1" } : { "cpu.idle": "0", "cpu.weight": weight };
      for (const [file, value] of Object.entries(files)) put(join(dir, file), value);
    },
    remove: () => remove(dir),
  };
}

function put(path: string, value: string): void {
  try {
    if (existsSync(path)) writeFileSync(path, value);
  } catch {
    // The group has been removed: its process has just ended.
  }
}

function killAll(dir: string): void {
  try {
    writeFileSync(join(dir, "cgroup.kill"), "1");
  } catch {
    // The group has been removed: there was nobody left in it.
  }
}

/** Kills what an earlier run left, and removes its groups as far as they are empty by now. */
function destroy(dir: string): void {
  killAll(dir);
  for (const name of namesIn(dir)) if (name.startsWith("app-")) removed(join(dir, name));
  removed(dir);
}

function removed(dir: string): boolean {
  try {
    rmdirSync(dir);
    return true;
  } catch {
    return !existsSync(dir);
  }
}
