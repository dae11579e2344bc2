/** The gate: what was well must be well again, without a break, before time is up. */
import { expect, test } from "bun:test";
import type { Look } from "./attempt.ts";
import { type GateState, gateBegun, gateStep, worse } from "./gate.ts";

const well: Look = {
  apps: ["blog"],
  network: ["eth0 ipv4"],
  failedUnits: ["old.service"],
  database: [],
};

test("only what is worse than before counts", () => {
  expect(worse(well, { ...well, apps: ["blog", "new"], failedUnits: [] })).toEqual([]);
  const ailing = { ...well, database: ["of app_1 nothing is left"] };
  expect(worse(ailing, ailing)).toEqual([]);
  const now = { apps: [], network: [], failedUnits: ["x.mount"], database: ["page 3 is broken"] };
  expect(worse(well, now)).toEqual([
    "the database is not well: page 3 is broken",
    '"blog" answered before and does not now',
    "the network is not as before: no eth0 ipv4",
    '"x.mount" failed to start',
  ]);
});

test("commits what stays well, gives up what is not well in time", () => {
  const bounds = { untilMs: 100, steadyMs: 10 };
  const run = (looks: [number, string[]][]) => {
    let state: GateState = gateBegun;
    const verdicts: string[] = [];
    for (const [atMs, problems] of looks) {
      const step = gateStep(state, { atMs, problems }, bounds);
      state = step.state;
      verdicts.push(step.verdict);
    }
    return verdicts;
  };
  expect(
    run([
      [0, []],
      [5, []],
      [10, []],
    ]),
  ).toEqual(["wait", "wait", "commit"]);
  expect(
    run([
      [0, []],
      [5, ["x"]],
      [10, []],
      [19, []],
      [20, []],
    ]),
  ).toEqual(["wait", "wait", "wait", "wait", "commit"]);
  expect(
    run([
      [0, ["x"]],
      [99, ["x"]],
      [100, ["x"]],
    ]),
  ).toEqual(["wait", "wait", "give up"]);
  // Well at the last moment: it has its steady time.
  expect(
    run([
      [98, []],
      [104, []],
      [108, []],
    ]),
  ).toEqual(["wait", "wait", "commit"]);
});
