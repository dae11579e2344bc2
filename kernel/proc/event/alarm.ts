/**
 * One timer for the earliest of many times. It wakes at least once a minute while something is
 * awaited, because a wall clock can be set and a machine can sleep.
 */
import type { Machine, Timer } from "../../machine.ts";
import { longestSleepMs } from "./limits.ts";

export interface Alarm {
  /** Rings at this time (Unix ms) or earlier; a later time than the one awaited changes nothing. */
  at(dueAt: number): void;
  stop(): void;
}

/** `ring` is called when the time has come; it says when it wants to be called again. */
export function createAlarm(machine: Machine, ring: () => void): Alarm {
  let timer: Timer | null = null;
  let dueAt = Number.POSITIVE_INFINITY;
  let stopped = false;
  const set = () => {
    timer?.cancel();
    const delayMs = Math.min(longestSleepMs, Math.max(0, dueAt - machine.now()));
    timer = machine.after(delayMs, () => {
      timer = null;
      if (machine.now() < dueAt) return set();
      dueAt = Number.POSITIVE_INFINITY;
      ring();
    });
  };
  return {
    at(wanted) {
      if (stopped || wanted >= dueAt) return;
      dueAt = wanted;
      set();
    },
    stop() {
      stopped = true;
      timer?.cancel();
    },
  };
}
