/**
 * How the processors are shared out among apps: who takes a whole processor for long gives way to
 * everybody else, so that nobody waits for it to pause.
 *
 * Where control groups share them out, that is their weight and `cpu.idle` (`cgroup.ts`), or which
 * of two groups it is in (`processors.ts`), where heavy and light apps differ by niceness. Elsewhere
 * all is niceness (sched(7)): of the process's threads, and of its session, which an app has to
 * itself, where the host shares out by sessions (autogroup).
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Machine, Timer } from "../../machine.ts";
import type { Group } from "./cgroup.ts";
import type { Libc } from "./libc.ts";
import {
  calmMs,
  calmShare,
  greedyShare,
  habitMs,
  lookMsMin,
  niceLookMsMin,
  niceOfGreedy,
  niceRange,
  quickDelayMs,
  quickMs,
} from "./limits.ts";
import type { Processors } from "./processors.ts";

/** What is known of one process's hunger for processors. Times in milliseconds. */
export interface Appetite {
  /** It takes so much that it gives way to everybody else. */
  readonly greedy: boolean;
  /** When it was looked at last, and what it had used by then. */
  readonly atMs: number;
  readonly usedMs: number;
  /** Since when it has been calm. */
  readonly calmSinceMs: number;
}

/** What is remembered of an app between two of its processes. */
export interface Habit {
  /** Until when its next process is taken to be as greedy as the last one, monotonic ms. */
  greedyUntilMs: number;
}

/** The first look: pure. Who was greedy a moment ago still is: a crash makes nobody calm. */
export function firstLook(
  { greedyUntilMs }: Habit,
  { atMs, usedMs }: Pick<Appetite, "atMs" | "usedMs">,
): Appetite {
  return { greedy: atMs < greedyUntilMs, atMs, usedMs, calmSinceMs: atMs };
}

/** One look more: pure. Greedy at once; no more so only after it has been calm for a while. */
export function appetite(
  before: Appetite,
  { atMs, usedMs }: Pick<Appetite, "atMs" | "usedMs">,
  leastMs = lookMsMin,
): Appetite {
  // Of less than that it cannot be told: a short burst would be greed.
  if (atMs - before.atMs < leastMs) return before;
  const share = (usedMs - before.usedMs) / Math.max(1, atMs - before.atMs);
  const calmSinceMs = share > calmShare ? atMs : before.calmSinceMs;
  const greedy = share >= greedyShare || (before.greedy && atMs - calmSinceMs < calmMs);
  return { greedy, atMs, usedMs, calmSinceMs };
}

/** The niceness of a process of this weight (1 to 10000; 100 is normal): each step is a quarter. */
export function nicenessOf(weight: number, greedy: boolean): number {
  if (greedy) return niceOfGreedy;
  const steps = Math.round(Math.log(weight / 100) / Math.log(1.25));
  return Math.min(niceRange, Math.max(-niceRange, 0 - steps));
}

/** One process's part. */
export interface Share {
  /** Gives it its normal part. */
  begin(): void;
  /** Told the processor time it has used until now. */
  used(usedMs: number, atMs: number): void;
}

/** By what means: a group of its own that shares out, else groups of version 1, else niceness. */
export interface ShareMeans {
  readonly libc: Libc | null;
  readonly group: Group | null;
  readonly processors: Processors | null;
  pid(): number | null;
}

/** The part of the process that `pid` names. */
export function createShare(by: ShareMeans, weight: number, habit: Habit): Share {
  let known: Appetite | null = null;
  const grouped = by.group !== null || by.processors !== null;
  const give = (greedy: boolean) => {
    const pid = by.pid();
    if (by.group !== null) by.group.giveWay(greedy);
    else if (pid !== null) {
      const placed = by.processors?.put(pid, greedy) ?? false;
      makeNice(by.libc, pid, nicenessOf(weight, greedy && !placed));
    }
  };
  return {
    begin: () => {
      if (by.group === null) give(false);
    },
    used: (usedMs, atMs) => {
      const before = known?.greedy ?? false;
      const leastMs = grouped ? lookMsMin : niceLookMsMin;
      const look = { atMs, usedMs };
      known = known === null ? firstLook(habit, look) : appetite(known, look, leastMs);
      habit.greedyUntilMs = known.greedy ? atMs + habitMs : 0;
      if (known.greedy !== before) give(known.greedy);
    },
  };
}

/** Gives a process, all of its threads, and its session this niceness; what is refused is left. */
function makeNice(libc: Libc | null, pid: number, niceness: number): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  } catch {
    // It has ended, or this host shares out by threads alone.
  }
  for (const thread of threadsOf(pid)) libc?.nice(thread, niceness);
}

function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return []; // it has just ended
  }
}

/**
 * Asks, while it is on, whether the kernel itself had to wait for a processor
 * (`/proc/self/schedstat`, sched-stats.rst of Linux), and tells: then somebody takes them all, and
 * who it is is looked for at once, not at the next tick.
 */
export class WaitWatch {
  readonly #machine: Machine;
  readonly #told: () => void;
  #timer: Timer | null = null;
  #delayMs = 0;

  constructor(machine: Machine, told: () => void) {
    this.#machine = machine;
    this.#told = told;
  }

  /** On while an app runs: a machine whose apps sleep is not woken for it. Any number of times. */
  turn(on: boolean): void {
    if (on) this.#timer ??= this.#machine.every(quickMs, () => this.#ask());
    else {
      this.#timer?.cancel();
      this.#timer = null;
    }
  }

  #ask(): void {
    const before = this.#delayMs;
    this.#delayMs = delayMs();
    if (this.#delayMs - before >= quickDelayMs) this.#told();
  }
}

/** How long this program's own thread has waited for a processor, milliseconds; 0 if not told. */
function delayMs(): number {
  try {
    return Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[1]) / 1e6;
  } catch {
    return 0; // a host without /proc, or one that does not count it
  }
}
