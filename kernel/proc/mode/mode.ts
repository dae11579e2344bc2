/**
 * Which mode the machine is in: pure functions of the state before and of what was measured.
 *
 * Each cause asks for a mode of its own; the worst one wins. A cause asks for a mode from its mark
 * on and until it is better than the mark by a margin. Memory makes the mode worse at once, and
 * better only when its causes have asked for a better one for `settleMs`. The disk has its own
 * margin, in storage: space that is free is free, and writes begin again at once.
 *
 *   memory:  degraded, cockpit-only, emergency (only when cockpit-only did not help)
 *   stall:   degraded, cockpit-only          (time in which everything waited for memory)
 *   kernel:  degraded                        (memory it holds alone)
 *   disk:    read-only                       (storage says so)
 */
import {
  emergencyAfterMs,
  kernelBackBytes,
  kernelDegradedBytes,
  memoryBackShare,
  memoryCockpitShare,
  memoryDegradedShare,
  memoryEmergencyShare,
  settleMs,
  stallBackPercent,
  stallCockpitPercent,
  stallDegradedPercent,
} from "./limits.ts";

/** From best to worst. */
export const modes = ["normal", "degraded", "read-only", "cockpit-only", "emergency"] as const;
export type Mode = (typeof modes)[number];

/** What a decision is made of. */
export interface Measures {
  /** Share of memory still to be had, 0 to 1; the machine's or the control group's, the smaller. */
  readonly memoryFreeShare: number;
  /** Percent of the last 10 s in which everything waited for memory. */
  readonly stallPercent: number;
  /** Bytes the kernel's process holds alone. */
  readonly kernelBytes: number;
}

/** A mode that is asked for, and why: one clause, null for normal. */
export interface Wish {
  readonly mode: Mode;
  readonly reason: string | null;
}

/** How it stands with memory. */
export interface MemoryState extends Wish {
  /** Monotonic ms of the change to this mode. */
  readonly sinceMs: number;
  /** Monotonic ms since which something better was asked for, or null. */
  readonly betterSinceMs: number | null;
}

const normal: Wish = { mode: "normal", reason: null };

export const initialMemory = (nowMs: number): MemoryState => ({
  ...normal,
  sinceMs: nowMs,
  betterSinceMs: null,
});

const rank = (mode: Mode): number => modes.indexOf(mode);

/** Whether a mode takes away at least what another one does. */
export const atLeast = (mode: Mode, least: Mode): boolean => rank(mode) >= rank(least);

/** How it stands with memory at this moment, given how it stood before. */
export function nextMemory(state: MemoryState, measures: Measures, nowMs: number): MemoryState {
  const wish = worst(wishes(state, measures, nowMs));
  const changed = { ...wish, sinceMs: nowMs, betterSinceMs: null };
  if (rank(wish.mode) > rank(state.mode)) return changed;
  if (wish.mode === state.mode) return { ...state, reason: wish.reason, betterSinceMs: null };
  const since = state.betterSinceMs ?? nowMs;
  return nowMs - since >= settleMs ? changed : { ...state, betterSinceMs: since };
}

/** The machine's mode, of memory and disk together. */
export function modeOf(memory: Wish, diskAtMark: boolean): Wish {
  const disk: Wish = { mode: "read-only", reason: "the data partition is nearly full" };
  return worst(diskAtMark ? [memory, disk] : [memory]);
}

function worst(all: readonly Wish[]): Wish {
  return all.reduce((a, b) => (rank(b.mode) > rank(a.mode) ? b : a), normal);
}

/** What each cause asks for. */
function wishes(state: MemoryState, measures: Measures, nowMs: number): Wish[] {
  const { memoryFreeShare: free, stallPercent: stall, kernelBytes } = measures;
  // A mark that has been passed ends later than it began.
  const back = (mode: Mode, margin: number) => (atLeast(state.mode, mode) ? margin : 0);
  const low = (mode: Mode, share: number) => free < share + back(mode, memoryBackShare);
  const stalled = (mode: Mode, percent: number) => stall > percent - back(mode, stallBackPercent);
  const asked: Wish[] = [];
  const memory = `${percentOf(free)} of memory is left`;
  const waiting = `everything waits for memory ${Math.round(stall)} % of the time`;
  if (low("degraded", memoryDegradedShare)) asked.push({ mode: "degraded", reason: memory });
  if (low("cockpit-only", memoryCockpitShare)) asked.push({ mode: "cockpit-only", reason: memory });
  const tried = state.mode === "cockpit-only" && nowMs - state.sinceMs >= emergencyAfterMs;
  if ((tried || state.mode === "emergency") && low("emergency", memoryEmergencyShare)) {
    asked.push({ mode: "emergency", reason: `${memory}, and apps asleep did not help` });
  }
  if (stalled("degraded", stallDegradedPercent)) asked.push({ mode: "degraded", reason: waiting });
  if (stalled("cockpit-only", stallCockpitPercent)) {
    asked.push({ mode: "cockpit-only", reason: waiting });
  }
  if (kernelBytes > kernelDegradedBytes - back("degraded", kernelBackBytes)) {
    const held = `the kernel holds ${Math.round(kernelBytes / 1_048_576)} MB`;
    asked.push({ mode: "degraded", reason: held });
  }
  return asked;
}

const percentOf = (share: number): string => `${(share * 100).toFixed(1)} %`;
