/**
 * Holding an app to its memory on a host that does not: its own pages (proc_pid_statm(5)) are
 * looked at, seldom while it is far from its limit and often when it is near.
 *
 * What it allocates between two looks is beyond the limit and the machine's loss: this is for hosts
 * without control groups, and is told as such.
 */
import { readFileSync } from "node:fs";
import type { Machine, Timer } from "../../machine.ts";
import { watchFarMs, watchNearMs, watchNearShare } from "./limits.ts";

export interface Watch {
  /** The most that was seen, bytes. */
  readonly peakBytes: number;
  stop(): void;
}

const pageBytes = 4096;

/** Bytes that a process holds alone: all of it but the pages of files, which others share. */
function ownBytes(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ");
    return (Number(fields[1]) - Number(fields[2])) * pageBytes;
  } catch {
    return 0; // it is gone
  }
}

/** Calls `over` once, when the process holds more than it may. */
export function watchMemory(
  pid: number,
  maxBytes: number,
  by: { readonly machine: Machine; over(): void },
): Watch {
  let peakBytes = 0;
  let timer: Timer | null = null;
  const look = () => {
    const bytes = ownBytes(pid);
    peakBytes = Math.max(peakBytes, bytes);
    if (bytes > maxBytes) return by.over();
    const near = bytes > maxBytes * watchNearShare;
    timer = by.machine.after(near ? watchNearMs : watchFarMs, look);
  };
  look();
  return {
    get peakBytes() {
      return peakBytes;
    },
    stop: () => timer?.cancel(),
  };
}
