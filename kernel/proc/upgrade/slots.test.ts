/** The state of the slots: every way an attempt can end, and what starts afterwards. */
import { expect, test } from "bun:test";
import { limits, slots } from "./mod.ts";

const base = { version: "1.0.0", sizeBytes: 10 };
const fresh = slots.freshSlots(base);
const at = 1_000;
const program = (version: string): slots.Slot => ({
  ...{ version, sha256: "", sizeBytes: 5 },
  installedAt: at,
});
const begun = (state: slots.Slots, to: string) =>
  slots.begin(state, { id: `up_${to}`, kind: "binary", to, at });
/** An upgrade up to its trial. */
const tried = (state: slots.Slots, to: string): [slots.Slots, slots.SlotName] => {
  const slot = slots.idleSlot(state);
  const written = slots.fill(slots.empty(begun(state, to), slot), slot, program(to));
  return [slots.enter(slots.enter(written, "handing over", at), "trial", at), slot];
};
const upgraded = (state: slots.Slots, to: string): slots.Slots => {
  const [next, slot] = tried(state, to);
  return slots.commit(next, slot, at);
};
const start = (state: slots.Slots, bootId = "boot", now = base) =>
  slots.starting(state, { at, base: now, bootId });
const summary = (state: slots.Slots) => {
  const { active, previous, a, b } = state;
  return { active, previous, a: a?.version ?? null, b: b?.version ?? null };
};

test("upgrades take turns and keep what was before", () => {
  const one = upgraded(fresh, "1.1.0");
  expect(summary(one)).toEqual({ active: "a", previous: "base", a: "1.1.0", b: null });
  const two = upgraded(one, "1.2.0");
  expect(summary(two)).toEqual({ active: "b", previous: "a", a: "1.1.0", b: "1.2.0" });
  const three = upgraded(two, "1.3.0");
  expect(summary(three)).toEqual({ active: "a", previous: "b", a: "1.3.0", b: "1.2.0" });
  expect(three.history.map(({ from, to, outcome }) => `${from} ${to} ${outcome}`)).toEqual([
    "1.2.0 1.3.0 committed",
    "1.1.0 1.2.0 committed",
    "1.0.0 1.1.0 committed",
  ]);
});

test("the slot that is written is never the one that runs, nor the one to go back to from a slot", () => {
  let state = fresh;
  for (let i = 1; i < 30; i++) {
    const idle = slots.idleSlot(state);
    expect(idle as slots.Place).not.toBe(state.active);
    if (state.active !== "base" && state.previous === "base") expect(state.active).not.toBe(idle);
    if (i % 3 === 0) {
      const end = { at, reason: "slow", block: true };
      state = slots.fail(tried(state, `1.${i}.0`)[0], "reverted", end);
    } else state = upgraded(state, `1.${i}.0`);
    expect(state.history.length).toBeLessThanOrEqual(limits.historyMax);
  }
});

test("an attempt that fails changes nothing but the slot it wrote, and says why", () => {
  const one = upgraded(fresh, "1.1.0");
  const [trying] = tried(one, "1.2.0");
  const end = { at: 2_000, reason: "it hung", block: true, lastLines: ["oh"] };
  const after = slots.fail(trying, "reverted", end);
  expect(summary(after)).toMatchObject({ active: "a", b: "1.2.0" });
  expect(after.history[0]).toMatchObject({
    outcome: "reverted",
    reason: "it hung",
    phase: "trial",
  });
  expect(after.blocked).toEqual({ "1.2.0": "it hung" });
  expect(slots.commit(slots.enter(begun(after, "1.2.0"), "trial", at), "b", at).blocked).toEqual(
    {},
  );
});

test("whatever is under way when the machine stops, what ran before starts", () => {
  const one = upgraded(fresh, "1.1.0");
  for (const phase of ["checking", "downloading", "verifying", "proving"] as const) {
    const stopped = start(slots.enter(begun(one, "1.2.0"), phase, at));
    expect([stopped.start, stopped.attempt]).toEqual(["a", null]);
    expect(stopped.history[0]).toMatchObject({ outcome: "interrupted", phase });
  }
  const [trying] = tried(one, "1.2.0");
  const stopped = start(trying);
  expect(stopped.start).toBe("a");
  expect(stopped.history[0]).toMatchObject({
    outcome: "reverted",
    reason: "the machine stopped in the middle of it (trial)",
  });
  // A power cut is no fault of the version.
  expect(stopped.blocked).toEqual({});
});

test("an operating system's attempt is left to its own gate", () => {
  const os = slots.begin(fresh, { id: "up_1", kind: "os", to: "2.0.0", at });
  expect(slots.underWay(start(slots.enter(os, "booting", at)))).toMatchObject({ phase: "booting" });
});

test("power cuts never change the version; a program that ends again and again does", () => {
  let state: slots.Slots = upgraded(fresh, "1.1.0");
  for (let i = 0; i < 20; i++) {
    const started = start(state, `boot ${i}`);
    expect(started.start).toBe("a");
    state = started;
  }
  for (let i = 0; i < 2; i++) state = start(state, "boot 19");
  expect(state.active).toBe("a");
  const rested = start(slots.rest(state), "boot 19");
  expect(rested.start).toBe("a");
  const given = start(state, "boot 19");
  expect(given.start).toBe("base");
  expect(given.blocked["1.1.0"]).toContain("ended 3 times soon after");
  expect(given.history[0]).toMatchObject({ outcome: "reverted", to: "1.1.0" });
});

test("a program that is put in the base's place by hand is what runs", () => {
  const one = upgraded(fresh, "1.1.0");
  const other = start(one, "boot", { version: "1.5.0", sizeBytes: 12 });
  expect([other.start, other.active, other.previous]).toEqual(["base", "base", "a"]);
  expect(start(other, "boot", { version: "1.5.0", sizeBytes: 12 }).start).toBe("base");
});

test("a slot whose program is gone is left for what was before", () => {
  const gone = start({ ...upgraded(fresh, "1.1.0"), a: null });
  expect([gone.start, gone.history[0]?.reason]).toEqual(["base", "its program is gone"]);
});

test("a withdrawal goes back and says why", () => {
  const two = upgraded(upgraded(fresh, "1.1.0"), "1.2.0");
  const back = slots.withdraw(two, { at, reason: "it crashed", block: true });
  expect(summary(back)).toMatchObject({ active: "a", previous: null });
  expect(back.history[0]).toMatchObject({ outcome: "reverted", reason: "it crashed" });
});

test("a base that comes back, as a system does that was taken back, runs what ran with it", () => {
  const one = upgraded(fresh, "1.5.0");
  const newer = { version: "2.0.0", sizeBytes: 20 };
  const there = start(one, "boot-2", newer);
  expect(there).toMatchObject({ start: "base", active: "base", previous: "a" });
  expect(start(there, "boot-3", newer)).toMatchObject({ start: "base" });
  const back = start(there, "boot-4");
  expect(back).toMatchObject({ start: "a", active: "a", previous: "base" });
  // A slot that was written meanwhile holds something else: the base runs.
  const written = upgraded(there, "2.1.0");
  const overwritten = { ...written, a: program("2.2.0") };
  expect(start(overwritten, "boot-5")).toMatchObject({ start: "base" });
});

test("a kernel that ends soon after its commit, with the next upgrade in its hands, ends both", () => {
  const downloading = slots.enter(begun(upgraded(fresh, "1.1.0"), "1.2.0"), "downloading", at);
  const end = { at, reason: "it was ended by SIGKILL", block: true };
  const state = slots.withdraw(slots.cutOff(downloading, "the kernel", at), end);
  expect([state.attempt, state.active]).toEqual([null, "base"]);
  expect(state.history.map(({ to, outcome, reason }) => [to, outcome, reason])).toEqual([
    ["1.2.0", "interrupted", "the kernel stopped in the middle of it (downloading)"],
    ["1.1.0", "reverted", "it was ended by SIGKILL"],
  ]);
});
