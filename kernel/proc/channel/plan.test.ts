/** When something is done by itself: the look, the window in its zone, once a window, never unasked. */
import { expect, test } from "bun:test";
import { checkMs, soonMs } from "./limits.ts";
import { dueOf, nextCheckAt, windowIsOpen, windowOf } from "./plan.ts";
import type { Course, Setting } from "./setting.ts";

const hour = 3_600_000;
const at = (text: string): number => Date.parse(text);
const found = { version: "2.0.0", notes: "", suits: true, reason: null };
const state: Setting & Course = {
  ...{ channel: "stable", from: "https://releases.example.com/", checks: true, automatic: true },
  ...{ window: "02:00-05:00", zone: "Europe/Berlin", nextAt: at("2030-01-02T00:00:00Z") },
  ...{ checkedAt: null, found, problem: null, begunAt: null },
};
const moment = (text: string, part = 0) => ({ now: at(text), running: "1.0.0", part });

test("a window is read, over midnight too", () => {
  expect(windowOf("02:00-05:30")).toEqual({ begin: 120, minutes: 210 });
  expect(windowOf("23:30-00:15")).toEqual({ begin: 1410, minutes: 45 });
  expect(windowOf("00:00-00:00")).toEqual({ begin: 0, minutes: 1440 });
});

test("a window is open in its own zone, in winter and in summer, also past midnight", () => {
  const berlin = { window: "02:00-05:00", zone: "Europe/Berlin" };
  const open = (text: string, of = berlin) => windowIsOpen(of, { now: at(text), part: 0 });
  expect(open("2030-01-15T00:59:59Z")).toBe(false);
  expect(open("2030-01-15T01:00:00Z")).toBe(true);
  expect(open("2030-01-15T03:59:59Z")).toBe(true);
  expect(open("2030-01-15T04:00:00Z")).toBe(false);
  expect(open("2030-07-15T00:00:00Z")).toBe(true);
  expect(open("2030-07-15T03:00:00Z")).toBe(false);
  const night = { window: "23:00-01:00", zone: "Asia/Kolkata" };
  expect(open("2030-01-15T17:29:00Z", night)).toBe(false);
  expect(open("2030-01-15T17:30:00Z", night)).toBe(true);
  expect(open("2030-01-15T19:29:00Z", night)).toBe(true);
  expect(open("2030-01-15T19:30:00Z", night)).toBe(false);
});

test("each machine waits a part of its own, within the window", () => {
  const of = { window: "02:00-05:00", zone: "UTC" };
  const open = (text: string, part: number) => windowIsOpen(of, { now: at(text), part });
  expect(open("2030-01-15T02:00:00Z", 0.5)).toBe(false);
  expect(open("2030-01-15T02:30:00Z", 0.5)).toBe(true);
  expect(open("2030-01-15T03:00:00Z", 0.999)).toBe(true);
  // A short window is never waited away.
  const short = { window: "02:00-02:10", zone: "UTC" };
  expect(windowIsOpen(short, { now: at("2030-01-15T02:05:00Z"), part: 0.999 })).toBe(true);
});

test("it is looked when it is time, if that is wanted and somebody said where", () => {
  expect(dueOf(state, moment("2030-01-01T12:00:00Z"))).toBe(null);
  expect(dueOf(state, moment("2030-01-02T00:00:00Z"))).toBe("check");
  expect(dueOf({ ...state, checks: false }, moment("2030-01-02T00:00:00Z"))).toBe(null);
  expect(dueOf({ ...state, from: null }, moment("2030-01-02T01:30:00Z"))).toBe(null);
});

test("only what was asked for, suits and does not run is installed, once a window", () => {
  const night = moment("2030-01-01T01:30:00Z");
  expect(dueOf(state, night)).toBe("install");
  expect(dueOf(state, moment("2030-01-01T12:00:00Z"))).toBe(null);
  expect(dueOf({ ...state, automatic: false }, night)).toBe(null);
  expect(dueOf({ ...state, found: { ...found, suits: false } }, night)).toBe(null);
  expect(dueOf({ ...state, found: null }, night)).toBe(null);
  expect(dueOf(state, { ...night, running: "2.0.0" })).toBe(null);
  expect(dueOf({ ...state, begunAt: night.now - hour }, night)).toBe(null);
  expect(dueOf({ ...state, begunAt: night.now - 24 * hour }, night)).toBe("install");
});

test("looks are a day apart, give or take a quarter; sooner after one that failed", () => {
  expect(nextCheckAt(0, true, 0)).toBe(checkMs * 0.75);
  expect(nextCheckAt(0, true, 0.999)).toBeGreaterThan(checkMs * 1.24);
  expect(nextCheckAt(0, false, 0)).toBe(soonMs / 2);
  expect(nextCheckAt(0, false, 0.999)).toBeLessThan(soonMs);
});
