/** What a process uses, read from the host's /proc (proc_pid_stat(5), proc_pid_statm(5)). */
import { readFileSync } from "node:fs";

export interface Usage {
  /** Resident memory, shared pages of the runtime included. */
  readonly rssBytes: number;
  /** Processor time since its start, user and system. */
  readonly cpuMs: number;
}

const nothing: Usage = { rssBytes: 0, cpuMs: 0 };
const pageBytes = 4096;
/** Linux counts in hundredths of a second for user space, whatever its own clock. */
const tickMs = 10;

/** Zeros when there is no such process, or the host has no /proc. */
export function usageOf(pid: number | null): Usage {
  if (pid === null) return nothing;
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name may hold spaces and parentheses: the fields count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { rssBytes: pages * pageBytes, cpuMs: ticks * tickMs };
  } catch {
    // It has exited meanwhile.
    return nothing;
  }
}
