/** Schedules against tables, against the days clocks are changed, and against a slow search. */
import { describe, expect, test } from "bun:test";
import { isZone, nextRun, readCron } from "./cron.ts";

const next = (schedule: string, after: string, zone = "UTC") => {
  const found = nextRun(readCron(schedule), { afterMs: Date.parse(after), zone });
  return found === null ? null : new Date(found).toISOString().slice(0, 16);
};

const table: [string, string, string | null][] = [
  ["* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01"],
  ["* * * * *", "2026-01-01T00:00:59.999Z", "2026-01-01T00:01"],
  ["*/15 * * * *", "2026-01-01T00:46:00Z", "2026-01-01T01:00"],
  ["5/20 * * * *", "2026-01-01T00:46:00Z", "2026-01-01T01:05"],
  ["30 2 * * *", "2026-01-01T02:30:00Z", "2026-01-02T02:30"],
  ["0 9-17/4 * * *", "2026-01-01T09:00:00Z", "2026-01-01T13:00"],
  ["0 0 * * mon-fri", "2026-01-02T00:00:00Z", "2026-01-05T00:00"],
  ["0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00"],
  ["0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00"],
  ["0 0 29 feb *", "2026-01-01T00:00:00Z", "2028-02-29T00:00"],
  ["0 0 31 4 *", "2026-01-01T00:00:00Z", null],
  ["0 12 1,15 jan,JUL *", "2026-01-15T12:00:00Z", "2026-07-01T12:00"],
  ["@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00"],
  ["@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00"],
];

describe("the next time", () => {
  for (const [schedule, after, expected] of table) {
    test(`${schedule} after ${after}`, () => expect(next(schedule, after)).toBe(expected));
  }
});

describe("where clocks are changed", () => {
  const berlin = (schedule: string, after: string) => next(schedule, after, "Europe/Berlin");

  test("local time is kept over the year", () => {
    expect(berlin("0 8 * * *", "2026-01-10T12:00:00Z")).toBe("2026-01-11T07:00");
    expect(berlin("0 8 * * *", "2026-07-10T12:00:00Z")).toBe("2026-07-11T06:00");
    expect(next("0 8 * * *", "2026-07-10T12:00:00Z", "Asia/Kathmandu")).toBe("2026-07-11T02:15");
  });

  test("a skipped time is met an hour later, once", () => {
    expect(berlin("30 2 * * *", "2026-03-28T12:00:00Z")).toBe("2026-03-29T01:30");
    expect(berlin("30 2 * * *", "2026-03-29T01:30:00Z")).toBe("2026-03-30T00:30");
  });

  test("a time that comes twice is met once, with every hour twice", () => {
    expect(berlin("30 2 * * *", "2026-10-24T12:00:00Z")).toBe("2026-10-25T00:30");
    expect(berlin("30 2 * * *", "2026-10-25T00:30:00Z")).toBe("2026-10-26T01:30");
    expect(berlin("30 * * * *", "2026-10-25T00:30:00Z")).toBe("2026-10-25T01:30");
  });

  test("a schedule of every half hour has no gap and no double over a year", () => {
    const cron = readCron("*/30 * * * *");
    let time = Date.parse("2026-03-27T00:00:00Z");
    for (let i = 0; i < 48 * 5; i++) {
      const found = nextRun(cron, { afterMs: time, zone: "America/New_York" });
      expect(found).toBe(time + 1_800_000);
      time = found ?? 0;
    }
    let autumn = Date.parse("2026-10-31T00:00:00Z");
    for (let i = 0; i < 48 * 3; i++) {
      const found = nextRun(cron, { afterMs: autumn, zone: "America/New_York" });
      expect(found).toBe(autumn + 1_800_000);
      autumn = found ?? 0;
    }
  });
});

test("agrees with the runtime's own reader", () => {
  const schedules = ["7 3 * * *", "*/7 1-5 * * *", "0 0 1-7 * *", "15 14 1 * *", "0 22 * * 1-5"];
  for (const schedule of schedules) {
    let time = Date.parse("2026-02-20T10:11:12Z");
    for (let i = 0; i < 20; i++) {
      const theirs = Bun.cron.parse(schedule, new Date(time))?.getTime() ?? null;
      expect(nextRun(readCron(schedule), { afterMs: time, zone: "UTC" })).toBe(theirs);
      time = theirs ?? 0;
    }
  }
});

describe("what is no schedule", () => {
  const bad = ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"];
  for (const schedule of [
    ...bad,
    "a * * * *",
    "*/0 * * * *",
    "5-1 * * * *",
    "* * * foo *",
    "1,, * * * *",
    "constructor",
    "__proto__",
  ]) {
    test(JSON.stringify(schedule), () => {
      expect(() => readCron(schedule)).toThrow(/^cannot read the schedule/);
    });
  }
});

test("zones are told from words", () => {
  expect(["UTC", "Europe/Berlin", "Mars/Base", ""].map(isZone)).toEqual([true, true, false, false]);
});
