/** Tests of slowing: the pure waits and windows, the keys of addresses, the bounded map. */
import { describe, expect, test } from "bun:test";
import type { Pace } from "./limits.ts";
import { addressKey, type Failures, failed, remember, waitMs, windowWaitMs } from "./slowing.ts";

const pace: Pace = { free: 2, firstMs: 1000, mostMs: 8000, forgetMs: 60_000 };

describe("a doubling wait", () => {
  test("is free at first, then doubles up to its most", () => {
    let failures: Failures | undefined;
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      failures = failed(failures, 5000, pace);
      waits.push(waitMs(failures, 5000, pace));
    }
    expect(waits).toEqual([0, 0, 1000, 2000, 4000, 8000, 8000, 8000]);
  });

  test("never overflows, never ends, and is forgotten", () => {
    const many: Failures = { count: 5000, lastAt: 0, untilAt: 0 };
    expect(waitMs(failed(many, 100, pace), 100, pace)).toBe(8000);
    expect(failed(many, 60_001, pace).count).toBe(1);
    expect(waitMs(failed(many, 100, pace), 8100, pace)).toBe(0);
  });

  test("a clock set back locks nobody out for longer than the most", () => {
    expect(waitMs({ count: 9, lastAt: 1e9, untilAt: 1e9 }, 0, pace)).toBe(8000);
  });
});

test("a window takes five tries a minute and tells when the oldest is over", () => {
  const tries = [0, 10_000, 20_000, 30_000];
  expect(windowWaitMs(tries, 40_000)).toBe(0);
  expect(windowWaitMs([...tries, 40_000], 45_000)).toBe(15_000);
  expect(windowWaitMs([...tries, 40_000], 60_000)).toBe(0);
});

test.each([
  [null, "local"],
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:0DB8:0001:0002::9", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
])("the address %p is counted as %p", (address, key) => {
  expect(addressKey(address)).toBe(key);
});

test("a bounded map loses what was untouched longest", () => {
  const map = new Map([
    ["a", 1],
    ["b", 2],
  ]);
  remember(map, { key: "a", value: 3 }, 2);
  remember(map, { key: "c", value: 4 }, 2);
  expect([...map]).toEqual([
    ["a", 3],
    ["c", 4],
  ]);
});
