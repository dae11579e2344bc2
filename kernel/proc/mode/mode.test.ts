/** Modes from measures: marks, margins, and the time until something better is believed. */
import { expect, test } from "bun:test";
import { emergencyAfterMs, settleMs } from "./limits.ts";
import { initialMemory, type Measures, type MemoryState, modeOf, nextMemory } from "./mode.ts";

const well: Measures = { memoryFreeShare: 0.6, stallPercent: 0, kernelBytes: 20_000_000 };
const at = (mode: MemoryState["mode"], sinceMs = 0): MemoryState => ({
  mode,
  reason: mode,
  sinceMs,
  betterSinceMs: null,
});

test.each([
  ["normal", {}, "normal"],
  ["normal", { memoryFreeShare: 0.1 }, "normal"],
  ["normal", { memoryFreeShare: 0.09 }, "degraded"],
  ["degraded", { memoryFreeShare: 0.12 }, "degraded"],
  ["normal", { memoryFreeShare: 0.039 }, "cockpit-only"],
  ["normal", { memoryFreeShare: 0.01 }, "cockpit-only"],
  ["cockpit-only", { memoryFreeShare: 0.06 }, "cockpit-only"],
  ["normal", { stallPercent: 11 }, "degraded"],
  ["degraded", { stallPercent: 6 }, "degraded"],
  ["normal", { stallPercent: 41 }, "cockpit-only"],
  ["normal", { kernelBytes: 600_000_000 }, "degraded"],
] as const)("%s with %o is %s", (before, some, after) => {
  expect(nextMemory(at(before), { ...well, ...some }, 1000).mode).toBe(after);
});

test("better is believed after a while, and a relapse begins the while anew", () => {
  const short = { ...well, memoryFreeShare: 0.05 };
  let state = nextMemory(initialMemory(0), short, 0);
  expect(state).toMatchObject({ mode: "degraded", reason: "5.0 % of memory is left" });
  state = nextMemory(state, well, 1_000);
  expect(state.mode).toBe("degraded");
  state = nextMemory(state, short, 2_000);
  state = nextMemory(state, well, settleMs);
  expect(nextMemory(state, well, 2 * settleMs - 1).mode).toBe("degraded");
  expect(nextMemory(state, well, 2 * settleMs)).toMatchObject({ mode: "normal", reason: null });
});

test("from cockpit-only the way back goes to what is asked for", () => {
  const state = { ...at("cockpit-only"), betterSinceMs: 0 };
  expect(nextMemory(state, { ...well, memoryFreeShare: 0.08 }, settleMs).mode).toBe("degraded");
  expect(nextMemory(state, well, settleMs).mode).toBe("normal");
});

test("the emergency comes only when apps asleep did not help", () => {
  const gone = { ...well, memoryFreeShare: 0.01 };
  expect(nextMemory(at("cockpit-only"), gone, emergencyAfterMs - 1).mode).toBe("cockpit-only");
  expect(nextMemory(at("cockpit-only"), gone, emergencyAfterMs).mode).toBe("emergency");
  const little = { ...well, memoryFreeShare: 0.03 };
  expect(nextMemory(at("cockpit-only"), little, emergencyAfterMs).mode).toBe("cockpit-only");
});

test("a disk at its mark is read-only, unless memory asks for less than that", () => {
  expect(modeOf(at("normal"), false)).toMatchObject({ mode: "normal" });
  expect(modeOf(at("degraded"), true).mode).toBe("read-only");
  expect(modeOf(at("cockpit-only"), true).mode).toBe("cockpit-only");
});
