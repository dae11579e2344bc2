/**
 * How a process that works beside the kernel (a backup, a check, a stranger's file, the command that
 * keeps a backup) lets those who are served go first.
 *
 * Rules
 * 1. Niceness only rises: a process that the sandbox started with less weight has no right to
 *    raise its own again (setpriority(2), EACCES).
 * 2. Idle scheduling (sched(7), SCHED_IDLE) is what a waking request displaces at once: one that is
 *    only nice keeps its processor to the end of its slice. Who uses it says how it goes on where
 *    nothing is ever idle (`workedFor`), because on such a host it would get next to nothing.
 * 3. Only the calling thread, and threads that it starts later, are bound.
 */
import { dlopen } from "bun:ffi";
import { getPriority, setPriority } from "node:os";

/** Niceness of work that nobody waits for at a page (0 is a request's, 19 the least weight). */
const besideNiceness = 10;

/** SCHED_OTHER and SCHED_IDLE: sched_setscheduler(2). */
const policies = { other: 0, idle: 5 } as const;

/** Milliseconds that a piece of work may take before it is taken for starved. */
const starvedMs = 250;
/** Milliseconds that it then has its share like others. */
const ordinaryMs = 250;

/** Gives this process no more weight than work beside the kernel has. */
export function yieldToServed(): void {
  if (getPriority() < besideNiceness) setPriority(besideNiceness);
}

/** The scheduling of a piece after one that took `pieceMs`, and for how long it was ordinary. Pure. */
export function scheduleAfter(
  now: keyof typeof policies,
  pieceMs: number,
  sinceMs: number,
): keyof typeof policies {
  if (now === "idle") return pieceMs > starvedMs ? "other" : "idle";
  return sinceMs > ordinaryMs ? "idle" : "other";
}

function openScheduler(): ((policy: number) => boolean) | null {
  try {
    const { symbols } = dlopen("libc.so.6", {
      sched_setscheduler: { args: ["i32", "i32", "ptr"], returns: "i32" },
    });
    // The priority of both policies is 0.
    return (policy) => symbols.sched_setscheduler(0, policy, new Int32Array([0])) === 0;
  } catch {
    return null; // niceness is all this host has
  }
}

/** Work done only while nobody else wants the processor, but never quite starved. */
export interface IdleWork {
  /** Told after each piece how long it took, in milliseconds. */
  workedFor(pieceMs: number): void;
}

/** Makes this thread idle work. `nowMs` is a monotonic clock. */
export function yieldEntirely(nowMs: () => number): IdleWork {
  yieldToServed();
  const set = openScheduler();
  let policy: keyof typeof policies = set?.(policies.idle) ? "idle" : "other";
  if (set === null || policy === "other") return { workedFor: () => undefined };
  let sinceMs = nowMs();
  return {
    workedFor(pieceMs) {
      const next = scheduleAfter(policy, pieceMs, nowMs() - sinceMs);
      if (next === policy || !set(policies[next])) return;
      policy = next;
      sinceMs = nowMs();
    },
  };
}
