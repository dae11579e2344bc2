/**
 * The replicator's process, as those who kill it see it.
 */
import { readdirSync, readFileSync } from "node:fs";

interface Status {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
}

function statusOf(pid: string): Status | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { pid: Number(pid), parent: Number(parent), state };
  } catch {
    // It has gone.
    return null;
  }
}

/** The replicator's processes of a kernel: who follows, and who does a job. */
export function replicatorsOf(kernel: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(statusOf)
    .filter((status) => status?.parent === kernel && isReplicator(status.pid))
    .map((status) => status?.pid ?? 0);
}

function isReplicator(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("\0replicator\0");
  } catch {
    // It has gone.
    return false;
  }
}

/** The replicator of a kernel; null while there is none. */
export const replicatorOf = (kernel: number): number | null => replicatorsOf(kernel)[0] ?? null;

/** Whether a process is no more. */
export const isGone = (pid: number): boolean =>
  [undefined, "Z"].includes(statusOf(String(pid))?.state);

/** Kills a process, if there is one; answers how many were. */
export function kill(pid: number | null): number {
  if (pid === null) return 0;
  try {
    process.kill(pid, "SIGKILL");
    return 1;
  } catch {
    // It was faster.
    return 0;
  }
}
