/**
 * What the machine says of its memory: how much is to be had (proc_meminfo(5), and the control
 * group the kernel lives in), how long everything waited for it (PSI, Linux 4.20), and what the
 * kernel's process holds alone. What the host does not say counts as good.
 */
import { readFileSync } from "node:fs";
import { usageOf } from "../procfs.ts";
import type { Measures } from "./mode.ts";

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Another kind of host, or a file this user may not read.
    return "";
  }
}

const kilobytes = (text: string, name: string): number | null => {
  const match = new RegExp(`^${name}:\\s+([0-9]+) kB`, "m").exec(text);
  return match === null ? null : Number(match[1]) * 1024;
};

/** The share of the machine's memory that can be had without hurting anybody. Pure. */
export function freeShareOf(meminfo: string): number {
  const total = kilobytes(meminfo, "MemTotal");
  const available = kilobytes(meminfo, "MemAvailable");
  return total === null || available === null || total === 0 ? 1 : available / total;
}

/** Directories of the control groups a process is in, by `/proc/<pid>/cgroup`. Pure. */
export function groupsOf(cgroup: string): string[] {
  return cgroup.split("\n").flatMap((line) => {
    const [, controllers, path] = /^[0-9]+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    if (controllers === "") return [`/sys/fs/cgroup${path}`];
    return controllers?.split(",").includes("memory") ? [`/sys/fs/cgroup/memory${path}`] : [];
  });
}

interface GroupFiles {
  readonly limit: string;
  readonly used: string;
  readonly stat: string;
}

/** The share of a control group's memory that is left; pages of files can be given back. Pure. */
export function groupShareOf({ limit, used, stat }: GroupFiles): number {
  const max = Number.parseInt(limit, 10);
  // "max", or version 1's number for it, which no machine has.
  if (!Number.isFinite(max) || max <= 0 || max > 2 ** 53) return 1;
  const files = Number(/^(?:total_)?inactive_file ([0-9]+)/m.exec(stat)?.[1] ?? 0);
  return Math.max(0, 1 - (Number.parseInt(used, 10) - files) / max);
}

function groupShare(directory: string): number {
  const second = textOf(`${directory}/memory.max`);
  const [limit, used] =
    second !== ""
      ? [second, textOf(`${directory}/memory.current`)]
      : [
          textOf(`${directory}/memory.limit_in_bytes`),
          textOf(`${directory}/memory.usage_in_bytes`),
        ];
  return limit === "" || used === ""
    ? 1
    : groupShareOf({ limit, used, stat: textOf(`${directory}/memory.stat`) });
}

/** Percent of the last 10 s in which everything waited. Pure. */
export function stallOf(pressure: string): number {
  return Number(/^full avg10=([0-9.]+)/m.exec(pressure)?.[1] ?? 0);
}

/** A look at the machine. */
export function measure(): Measures {
  const shares = groupsOf(textOf("/proc/self/cgroup")).map(groupShare);
  return {
    memoryFreeShare: Math.min(freeShareOf(textOf("/proc/meminfo")), ...shares),
    stallPercent: stallOf(textOf("/proc/pressure/memory")),
    kernelBytes: usageOf(process.pid).ownBytes,
  };
}
