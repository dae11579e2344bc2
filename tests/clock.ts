/**
 * A machine whose time a test can move: everything is real, and `pass` brings what is due within
 * that time at once, in order, without waiting for it.
 */
import { type Machine, realMachine, type Timer } from "../kernel/machine.ts";

export interface Clock {
  readonly machine: Machine;
  /** Lets this much time pass. */
  pass(ms: number): void;
}

interface Entry {
  dueAt: number;
  readonly periodMs: number | null;
  readonly run: () => void;
  timer: Timer;
}

export function clock(): Clock {
  const real = realMachine();
  let offsetMs = 0;
  const entries = new Set<Entry>();
  const monotonicMs = () => real.monotonicMs() + offsetMs;

  const arm = (entry: Entry): void => {
    entry.timer = real.after(Math.max(0, entry.dueAt - monotonicMs()), () => ring(entry));
  };
  const ring = (entry: Entry): void => {
    if (!entries.has(entry)) return;
    entry.timer.cancel();
    if (entry.periodMs === null) entries.delete(entry);
    else {
      entry.dueAt = monotonicMs() + entry.periodMs;
      arm(entry);
    }
    entry.run();
  };
  const add = (delayMs: number, periodMs: number | null, run: () => void): Timer => {
    const none: Timer = { cancel: () => undefined };
    const entry: Entry = { dueAt: monotonicMs() + delayMs, periodMs, run, timer: none };
    entries.add(entry);
    arm(entry);
    return {
      cancel() {
        entry.timer.cancel();
        entries.delete(entry);
      },
    };
  };
  return {
    machine: {
      ...real,
      now: () => Math.floor(real.now() + offsetMs),
      monotonicMs,
      after: (delayMs, run) => add(delayMs, null, run),
      every: (periodMs, run) => add(periodMs, periodMs, run),
    },
    pass(ms) {
      offsetMs += ms;
      const due = [...entries].filter((entry) => entry.dueAt <= monotonicMs());
      for (const entry of due.sort((a, b) => a.dueAt - b.dueAt)) ring(entry);
      // The others are armed for a time that is nearer now.
      for (const entry of entries) {
        entry.timer.cancel();
        arm(entry);
      }
    },
  };
}
