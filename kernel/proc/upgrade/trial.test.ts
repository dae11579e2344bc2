/** The gate: what is compared with before, and when it is decided. */
import { expect, test } from "bun:test";
import { trial as gate } from "./mod.ts";

const { beginTrial, faultOf, look, verdictOf } = gate;

const before: gate.Health = {
  apps: { blog: true, shop: true, broken: false },
  requests: 1000,
  errors: 1,
  p99Ms: 20,
  rssBytes: 100e6,
};
const watch = (seen: (gate.Health | null)[], everyMs = 500): [gate.Trial, number] => {
  let nowMs = 0;
  let trial = beginTrial(before, nowMs);
  for (const health of seen) {
    nowMs += everyMs;
    trial = look(trial, health, nowMs);
  }
  return [trial, nowMs];
};

test("what is as before, or better, is no fault", () => {
  const cases: Partial<gate.Health>[] = [
    {},
    { apps: { blog: true, shop: true, broken: true } },
    { errors: 5 },
    { requests: 3, errors: 2 },
    { p99Ms: 300 },
    { requests: 0, errors: 0, p99Ms: null },
    { rssBytes: 250e6 },
    // One that was removed meanwhile is not missed.
    { apps: { blog: true } },
  ];
  for (const change of cases) expect(faultOf(before, { ...before, ...change })).toBeNull();
});

test("what is worse is said in a clause", () => {
  const cases: [Partial<gate.Health>, string][] = [
    [{ apps: { ...before.apps, shop: false } }, 'app "shop" answered before and does not now'],
    [{ errors: 40 }, "4.0 % of requests failed, before 0.1 %"],
    [{ p99Ms: 900 }, "it is slow: 1 of 100 requests took 900 ms, before 20 ms"],
    [{ rssBytes: 500e6 }, "it holds 477 MB of memory, before 95 MB"],
  ];
  for (const [change, said] of cases) expect(faultOf(before, { ...before, ...change })).toBe(said);
});

test("a trial is committed when its time is over and nothing is wrong", () => {
  const [trial, nowMs] = watch(Array(10).fill(before));
  expect(verdictOf(trial, nowMs - 1, nowMs)).toEqual({ kind: "wait" });
  expect(verdictOf(trial, nowMs, nowMs)).toEqual({ kind: "commit" });
});

test("one bad moment is borne, three in a row are not, and at the end nothing may be wrong", () => {
  const bad = { ...before, p99Ms: 900 };
  const verdict = (seen: (gate.Health | null)[], lastsMs = 60_000) => {
    const [trial, nowMs] = watch(seen);
    return verdictOf(trial, nowMs, lastsMs).kind;
  };
  expect(verdict([bad, bad, before, bad, bad])).toBe("wait");
  expect(verdict([before, bad, bad, bad])).toBe("revert");
  expect(verdict([before, before, bad], 1_000)).toBe("wait");
});

test("one that says nothing is given up", () => {
  const [trial, nowMs] = watch([before, null, null, null]);
  expect(verdictOf(trial, nowMs, 60_000)).toEqual({ kind: "wait" });
  const [silent, laterMs] = watch([before, ...Array(8).fill(null)]);
  expect(verdictOf(silent, laterMs, 60_000)).toEqual({
    kind: "revert",
    reason: "it said nothing for 4 s",
  });
  // Nor is it committed while nobody knows.
  expect(verdictOf(trial, nowMs + 1000, 1_000).kind).toBe("wait");
});
