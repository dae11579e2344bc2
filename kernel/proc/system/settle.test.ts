/** What each boot means for what was tried: the table of the state machine. */
import { expect, test } from "bun:test";
import type { Attempt } from "./attempt.ts";
import type { BootState } from "./boot-state.ts";
import { type Now, settle } from "./settle.ts";

const attemptAt = (...phases: string[]): Attempt => ({
  id: "sys_1",
  kind: "upgrade",
  version: "2.0.0",
  from: "1.0.0",
  slot: "b",
  bootId: "old",
  startedAt: 1,
  phase: phases.at(-1) ?? "check",
  crumbs: phases.map((phase) => ({ phase, at: 2 })),
  tries: 2,
  before: null,
  endedAt: null,
  outcome: null,
  reason: null,
  lastLines: [],
});

const armedAt = (...phases: string[]) => attemptAt("root", "arm", "armed", ...phases);
const idle: BootState = { good: "a", try: null, left: 0, canary: "" };
const trying = (left: number): BootState => ({ ...idle, try: "b", left });
const inA: Now = { running: "a", trial: false, bootId: "new" };
const inB: Now = { running: "b", trial: true, bootId: "new" };

const cases: [string, Attempt | null, BootState, Now, string, number?][] = [
  ["nothing was tried", null, idle, inA, "nothing"],
  ["a trial nobody knows of", null, trying(0), inA, "disarm"],
  ["cut while the root was written", attemptAt("canary", "root"), idle, inA, "failed"],
  ["cut before the boot loader was told", attemptAt("root", "arm"), idle, inA, "failed"],
  ["told, and cut before that was noted", attemptAt("root", "arm"), trying(1), inB, "trial"],
  [
    "fazt was started again while it wrote",
    attemptAt("root"),
    idle,
    { ...inA, bootId: "old" },
    "failed",
  ],
  [
    "fazt was started again before the restart",
    armedAt(),
    trying(2),
    { ...inA, bootId: "old" },
    "nothing",
  ],
  ["first start of the new one", armedAt("restart"), trying(1), inB, "trial"],
  ["a power cut in the trial, second start", armedAt("restart", "kernel"), trying(0), inB, "trial"],
  [
    "cut after the boot loader was told that it is good",
    armedAt("gate"),
    { ...idle, good: "b" },
    inB,
    "committed",
  ],
  ["two starts and back", armedAt("restart"), trying(0), inA, "reverted", 2],
  ["the boot loader could not save", armedAt("restart"), trying(2), inA, "reverted", 0],
  ["given up, cut before that was noted", armedAt("kernel", "gate"), idle, inA, "reverted", 1],
  [
    "chosen by hand in the menu",
    armedAt("restart"),
    trying(2),
    { ...inB, trial: false },
    "reverted",
    0,
  ],
];

for (const [what, attempt, state, now, kind, starts] of cases) {
  test(what, () => {
    const settled = settle(attempt, state, now);
    expect(settled.kind as string).toBe(kind);
    if (settled.kind === "reverted") expect<number | undefined>(settled.starts).toBe(starts);
  });
}
