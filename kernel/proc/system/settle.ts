/**
 * What a boot means for what was being tried: a pure decision from what was written down before,
 * what the boot loader says, and what runs now.
 *
 *   writing ──power cut──▶ failed          (the running slot was not touched)
 *   armed ──▶ trial ──gate──▶ committed | reverted
 *   armed ──▶ the old slot runs again ──▶ reverted
 *
 * Invariants
 * 1. The boot loader's state is the truth: what it says is good has been kept.
 * 2. A trial that is over is taken out of that state, whatever else is known of it.
 * 3. In the boot in which it was armed nothing is decided: the restart is still to come.
 */

import type { Attempt } from "./attempt.ts";
import type { BootState, Slot } from "./boot-state.ts";

export interface Now {
  /** The slot that is mounted; null when the root is none. */
  readonly running: Slot | null;
  /** Whether the boot loader said that this start is a trial. */
  readonly trial: boolean;
  readonly bootId: string;
}

export type Settlement =
  | { readonly kind: "nothing" }
  /** Compare with before, then keep or give up. */
  | { readonly kind: "trial"; readonly attempt: Attempt }
  | { readonly kind: "committed"; readonly attempt: Attempt }
  /** The machine is back; `starts` of the new slot were seen by the boot loader. */
  | { readonly kind: "reverted"; readonly attempt: Attempt; readonly starts: number }
  /** It never came to be armed. */
  | { readonly kind: "failed"; readonly attempt: Attempt }
  /** A trial that nobody knows of. */
  | { readonly kind: "disarm" };

/** Whether the slot was armed, or was being armed: from here on the boot loader decides. */
const wasArmed = ({ crumbs }: Attempt): boolean => crumbs.some(({ phase }) => phase === "arm");

/** Decides. `attempt` is the one that has not ended. */
export function settle(attempt: Attempt | null, state: BootState, now: Now): Settlement {
  if (attempt === null) return { kind: state.try === null ? "nothing" : "disarm" };
  if (attempt.bootId === now.bootId) {
    // The same boot: fazt itself was started again. What was being written is gone on with by nobody.
    return wasArmed(attempt) ? { kind: "nothing" } : { kind: "failed", attempt };
  }
  if (!wasArmed(attempt)) return { kind: "failed", attempt };
  if (state.good === attempt.slot) return { kind: "committed", attempt };
  const isTried = state.try === attempt.slot;
  if (now.running === attempt.slot && now.trial && isTried) return { kind: "trial", attempt };
  // Armed was its last written phase, and the boot loader was never told.
  if (!isTried && attempt.phase === "arm") return { kind: "failed", attempt };
  const starts = isTried ? attempt.tries - state.left : startsSeen(attempt);
  return { kind: "reverted", attempt, starts };
}

/** A gate that gave up has emptied the state: at least that start was seen. */
const startsSeen = ({ crumbs }: Attempt): number =>
  crumbs.filter(({ phase }) => phase === "kernel").length;
