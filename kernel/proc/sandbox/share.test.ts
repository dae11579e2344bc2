/** Who gives way, and to what: the decision as a table, and a real process that is made nice. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import type { Group } from "./cgroup.ts";
import { openLibc } from "./libc.ts";
import { calmMs, habitMs, lookMsMin, niceLookMsMin, niceOfGreedy, niceRange } from "./limits.ts";
import {
  type Appetite,
  appetite,
  createShare,
  firstLook,
  type Habit,
  nicenessOf,
} from "./share.ts";

const none: Habit = { greedyUntilMs: 0 };

/** What becomes of a process that takes these shares of a processor, one each half second. */
function fed(...shares: readonly number[]): boolean[] {
  let known: Appetite = firstLook(none, { atMs: 0, usedMs: 0 });
  return shares.map((share) => {
    known = appetite(known, { atMs: known.atMs + 500, usedMs: known.usedMs + share * 500 });
    return known.greedy;
  });
}

const calm = Array.from({ length: calmMs / 500 }, () => 0.1);

test("greedy is who takes a whole processor, from the first look on", () => {
  expect(fed(0.1, 0.5, 0.79)).toEqual([false, false, false]);
  expect(fed(1, 1.8)).toEqual([true, true]);
});

test("it is so until it has been calm for a while, also where it gets little", () => {
  expect(fed(1, ...calm.slice(1), 0.1).at(-2)).toBe(true);
  expect(fed(1, ...calm, 0.1).at(-1)).toBe(false);
  expect(fed(1, 0.4, 0.4, ...calm.slice(1), 0.4, ...calm.slice(1)).at(-1)).toBe(true);
});

test("of a time too short for it nothing is told, and the next look is of all of it", () => {
  const first = firstLook(none, { atMs: 0, usedMs: 0 });
  const soon = appetite(first, { atMs: lookMsMin - 1, usedMs: 19 });
  expect(soon).toBe(first);
  expect(appetite(soon, { atMs: lookMsMin, usedMs: 19 }).greedy).toBe(true);
  expect(appetite(first, { atMs: lookMsMin, usedMs: 20 }, niceLookMsMin)).toBe(first);
});

test("who was greedy when it ended begins so again, for a while, and is normal once calm", () => {
  const habit: Habit = { greedyUntilMs: 0 };
  /** A process that takes these shares from then on; answers when it was told to give way. */
  const lived = (fromMs: number, ...shares: readonly number[]): [atMs: number, yes: boolean][] => {
    const told: [number, boolean][] = [];
    let atMs = fromMs;
    let usedMs = 0;
    const giveWay = (yes: boolean) => void told.push([atMs, yes]);
    const group = { giveWay } as Group;
    const by = { libc: null, group, processors: null, pid: () => 1 };
    const share = createShare(by, 100, habit);
    share.used(usedMs, atMs);
    for (const part of shares) {
      atMs += 500;
      usedMs += part * 500;
      share.used(usedMs, atMs);
    }
    return told;
  };
  expect(lived(0, 1)).toEqual([[500, true]]);
  expect(lived(2_000, 1)).toEqual([[2_000, true]]);
  expect(lived(60_000, ...calm)).toEqual([
    [60_000, true],
    [60_000 + calmMs, false],
  ]);
  expect(lived(70_000, 0.1)).toEqual([]);
  expect(lived(80_000, 1)).toEqual([[80_500, true]]);
  expect(lived(80_500 + habitMs, 0.1)).toEqual([]);
});

test("weight is niceness, and the greedy are nicer than anybody", () => {
  expect([1, 100, 250, 10_000].map((weight) => nicenessOf(weight, false))).toEqual([
    niceRange,
    0,
    -4,
    -niceRange,
  ]);
  expect(nicenessOf(10_000, true)).toBe(niceOfGreedy);
});

test("a process, its threads and its session are made nice, and normal again", async () => {
  const child = Bun.spawn([process.execPath, "-e", "setInterval(() => {}, 1e6)"], {
    stdio: ["ignore", "ignore", "ignore"],
    detached: true,
  });
  const nicenessNow = () => {
    const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
    const session = `/proc/${child.pid}/autogroup`;
    const told = existsSync(session) ? readFileSync(session, "utf8") : "";
    const threads = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
    return [threads, Number(/nice (-?\d+)/.exec(told)?.[1] ?? threads)];
  };
  try {
    const share = createShare(
      { libc: openLibc(), group: null, processors: null, pid: () => child.pid },
      100,
      { greedyUntilMs: 0 },
    );
    share.begin();
    expect(nicenessNow()).toEqual([0, 0]);
    share.used(0, 0);
    share.used(500, 500);
    expect(nicenessNow()).toEqual([niceOfGreedy, niceOfGreedy]);
    share.used(500, 500 + calmMs);
    // Back is for root alone to give.
    const normal = process.getuid?.() === 0 ? 0 : niceOfGreedy;
    expect(nicenessNow()[0]).toBe(normal);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});
