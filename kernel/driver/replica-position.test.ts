/** The decisions of replication, as tables. */
import { describe, expect, test } from "bun:test";
import type { Lease, WalHeader, WalRecord } from "./format/mod.ts";
import { choose, chooseIndexes, type PlannedSnapshot } from "./replica-plan.ts";
import {
  backoffMs,
  claim,
  expired,
  follow,
  type Position,
  shouldSeal,
  shouldSnapshot,
  startOf,
} from "./replica-position.ts";

const header = (salt1: number, salt2 = 7, pageBytes = 4096): WalHeader => {
  return { pageBytes, sequence: 0, salt1, salt2, bigEndian: false, check1: 1, check2: 2 };
};
const point = { offset: 4152, check1: 3, check2: 4 };
const at = (more: Partial<Position>): Position => {
  return {
    generation: "0".repeat(16),
    index: 4,
    header: header(10),
    point,
    sealed: false,
    ...more,
  };
};

describe("how a log goes on", () => {
  const table: [string, Position, WalHeader | null, string][] = [
    ["no log yet", startOf("g"), null, "nothing"],
    ["its first header", startOf("g"), header(1), "go on"],
    ["the same log", at({}), header(10), "go on"],
    ["the same log, sealed", at({ sealed: true }), header(10), "go on"],
    ["restarted after a seal", at({ sealed: true }), header(11, 8), "next index"],
    ["restarted twice after a seal", at({ sealed: true }), header(12, 9), "broken"],
    [
      "restarted over the end of numbers",
      at({ sealed: true, header: header(0xffffffff) }),
      header(0, 8),
      "next index",
    ],
    ["restarted before it was sealed", at({}), header(11, 8), "broken"],
    ["another log", at({ sealed: true }), header(0x2000_0000, 8), "broken"],
    ["the same number, another log", at({ sealed: true }), header(10, 8), "broken"],
    ["an older log", at({ sealed: true }), header(9, 8), "broken"],
    ["another page size", at({ sealed: true }), header(11, 8, 512), "broken"],
    ["emptied after a seal", at({ sealed: true }), null, "nothing"],
    ["emptied before", at({}), null, "broken"],
  ];
  test.each(table)("%s", (_name, position, found, kind) => {
    expect(follow(position, found).kind).toBe(kind as "go on");
  });

  test("the next index begins at its beginning", () => {
    const next = follow(at({ sealed: true }), header(11, 8));
    const begun = { index: 5, point: { offset: 0, check1: 0, check2: 0 }, sealed: false };
    expect(next).toMatchObject({ position: { ...begun, header: header(11, 8) } });
  });
});

test("a log is sealed when it is long, and not again and again against a reader", () => {
  const limits = { sealBytes: 100, sealRetryMs: 10 };
  const facts = { offset: 100, sealed: false, snapshotting: false, nowMs: 50, hinderedMs: null };
  expect(shouldSeal(facts, limits)).toBe(true);
  expect(shouldSeal({ ...facts, offset: 99 }, limits)).toBe(false);
  expect(shouldSeal({ ...facts, sealed: true }, limits)).toBe(false);
  expect(shouldSeal({ ...facts, snapshotting: true }, limits)).toBe(false);
  expect(shouldSeal({ ...facts, hinderedMs: 41 }, limits)).toBe(false);
  expect(shouldSeal({ ...facts, hinderedMs: 40 }, limits)).toBe(true);
});

test("a snapshot is due after a day of changes, or many logs", () => {
  const limits = { snapshotEveryMs: 1000, snapshotIndexesMax: 10 };
  expect(shouldSnapshot({ lastAt: 0, index: 3, lastIndex: 3 }, 5000, limits)).toBe(false);
  expect(shouldSnapshot({ lastAt: 0, index: 4, lastIndex: 3 }, 999, limits)).toBe(false);
  expect(shouldSnapshot({ lastAt: 0, index: 4, lastIndex: 3 }, 1000, limits)).toBe(true);
  expect(shouldSnapshot({ lastAt: 0, index: 13, lastIndex: 3 }, 1, limits)).toBe(true);
});

describe("who may write", () => {
  const lease = (owner: string, epoch: number, expiresAt: number): Lease => {
    return { version: 1, owner, epoch, expiresAt };
  };
  const table: [string, Lease | null, number | null, object][] = [
    ["nobody yet", null, null, { kind: "write", lease: lease("me", 1, 130), taken: true }],
    ["the lease is gone", null, 3, { kind: "write", lease: lease("me", 4, 130), taken: true }],
    ["mine, fresh", lease("me", 3, 129), 3, { kind: "hold" }],
    ["mine, to be renewed", lease("me", 3, 110), 3, { kind: "write", taken: false }],
    ["mine from before a restart", lease("me", 3, 129), null, { kind: "write", taken: false }],
    ["another's", lease("you", 3, 120), null, { kind: "wait", untilMs: 120, owner: "you" }],
    ["another's, clock ahead", lease("you", 3, 9999), null, { kind: "wait", untilMs: 130 }],
    [
      "another's, over",
      lease("you", 3, 100),
      null,
      { kind: "write", lease: lease("me", 4, 130), taken: true },
    ],
    ["from before mine, come late", lease("you", 2, 120), 3, { kind: "write", taken: false }],
    ["mine, taken meanwhile", lease("you", 4, 120), 3, { kind: "wait", owner: "you" }],
  ];
  const me = { owner: "me", now: 100, ttlMs: 30 };
  test("another's, clock ahead, unchanged for as long as a lease lasts", () => {
    const ahead = lease("you", 3, 9999);
    const after = (unchangedMs: number) => claim(ahead, { ...me, unchangedMs, epoch: null });
    expect(after(29)).toMatchObject({ kind: "wait", untilMs: 101 });
    expect(after(30)).toMatchObject({ kind: "write", lease: lease("me", 4, 130), taken: true });
  });
  test("mine, from before our clock was set back, is renewed", () => {
    const held = claim(lease("me", 3, 9999), { ...me, unchangedMs: 0, epoch: 3 });
    expect(held).toMatchObject({ kind: "write", lease: lease("me", 3, 130), taken: false });
  });
  test("damaged: who held it goes on, anybody else begins beyond every epoch", () => {
    const of = (epoch: number | null) => claim("damaged", { ...me, unchangedMs: 0, epoch });
    expect(of(3)).toMatchObject({ kind: "write", lease: lease("me", 3, 130), taken: false });
    expect(of(null)).toMatchObject({ kind: "write", lease: lease("me", 100, 130), taken: true });
  });
  test.each(table)("%s", (_name, found, epoch, wanted) => {
    expect(claim(found, { ...me, unchangedMs: 0, epoch })).toMatchObject(wanted);
  });
});

test("failures are waited out longer and longer, within the limit", () => {
  const limits = { backoffMsMin: 100, backoffMsMax: 1000 };
  const full = [1, 2, 3, 4, 5, 100].map((n) => backoffMs(n, 1, limits));
  expect(full).toEqual([100, 200, 400, 800, 1000, 1000]);
  expect(backoffMs(1, 0, limits)).toBe(50);
});

describe("what is older than the retention", () => {
  const kept = (generation: string, ...snapshots: [number, number][]) => {
    return { generation, snapshots: snapshots.map(([index, when]) => ({ index, at: when })) };
  };
  test("nothing, while there is one snapshot", () => {
    expect(expired([kept("a", [0, 10])], 1000)).toEqual({ generations: [], below: [] });
  });
  test("what lies below the newest snapshot from before the cut", () => {
    const all = [kept("a", [0, 10], [5, 20], [9, 30])];
    expect(expired(all, 29)).toEqual({ generations: [], below: [{ generation: "a", index: 5 }] });
    expect(expired(all, 9)).toEqual({ generations: [], below: [] });
    expect(expired(all, 99)).toEqual({ generations: [], below: [{ generation: "a", index: 9 }] });
  });
  test("generations before the one that covers the cut", () => {
    const all = [kept("a", [0, 10]), kept("b"), kept("c", [0, 20]), kept("d", [0, 30])];
    expect(expired(all, 25).generations).toEqual(["a", "b"]);
    expect(expired(all, 15).generations).toEqual([]);
    expect(expired(all, 5).generations).toEqual([]);
  });
});

describe("what a restore reads", () => {
  const snapshot = (index: number, when: number, recorded = true): PlannedSnapshot => {
    const record = { version: 1, index, offset: 0, sizeBytes: 1, sha256: "", at: when } as const;
    return { index, at: when, storedBytes: 1, record: recorded ? record : null };
  };
  const candidates = [
    { generation: "a", startedAt: 5, snapshots: [snapshot(0, 10), snapshot(4, 50)] },
    { generation: "b", startedAt: 60, snapshots: [snapshot(0, 70)] },
    { generation: "c", startedAt: 80, snapshots: [] },
  ];
  test.each([
    [null, "b", 0],
    [70, "b", 0],
    [69, "a", 4],
    [49, "a", 0],
  ] as const)("as of %p: generation %s, snapshot %p", (until, generation, index) => {
    const chosen = choose(candidates, until);
    expect([chosen?.candidate.generation, chosen?.snapshot.index]).toEqual([generation, index]);
  });
  test("nothing from before the first snapshot", () => {
    expect(choose(candidates, 9)).toBeNull();
  });

  const segment = (index: number, offset: number, when: number) => {
    return { index, offset, at: when, storedBytes: 1 };
  };
  const record = (index: number, ...segments: [number, number, number][]): [number, WalRecord] => {
    const sums = { sequence: 0, salt1: 0, salt2: 0, check1: 0, check2: 0, previous: null };
    return [index, { version: 1, index, length: 0, segments, ...sums }];
  };
  const records = new Map([record(0, [0, 10, 11], [10, 10, 21]), record(1, [0, 10, 31])]);
  const segments = [segment(0, 0, 0), segment(0, 10, 0), segment(1, 0, 0), segment(2, 0, 41)];
  const shape = (until: number | null, listed = segments, known = records, recorded = true) =>
    chooseIndexes(
      snapshot(0, 10, recorded),
      { database: "data.db", segments: listed, records: known },
      until,
    ).map((each) => [each.index, each.segments.length]);

  test("everything", () => {
    expect(shape(null)).toEqual([
      [0, 2],
      [1, 1],
      [2, 1],
    ]);
  });
  test("up to a time, by our own clock where there is a record", () => {
    expect(shape(40)).toEqual([
      [0, 2],
      [1, 1],
    ]);
    expect(shape(30)).toEqual([[0, 2]]);
    expect(shape(20)).toEqual([[0, 1]]);
    expect(shape(10)).toEqual([]);
  });
  test.each([
    ["first segment", segments.slice(1), records, "segment 0 of index 0 is missing"],
    ["last segment", segments.toSpliced(1, 1), records, "segment 10 of index 0 is missing"],
    ["index", segments.toSpliced(2, 1), records, "index 1 of the log is missing"],
    ["record", segments, new Map([record(0, [0, 10, 11], [10, 10, 21])]), "record of index 1"],
  ] as const)("a missing %s is named", (_what, listed, known, message) => {
    expect(() => shape(null, [...listed], known)).toThrow(message);
  });
  test("what lacks after the time that is wanted does not matter", () => {
    expect(shape(20, segments.toSpliced(2, 1))).toEqual([[0, 1]]);
  });
  test("Litestream's own has no records", () => {
    expect(shape(null, segments, new Map(), false)).toEqual([
      [0, 2],
      [1, 1],
      [2, 1],
    ]);
  });
});
