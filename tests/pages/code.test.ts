// The setup code's field: grouping, the caret, and what is wrong with a code.
import { expect, test } from "bun:test";
import { bare, codeProblem, grouped, regroup } from "../../image/os/code.js";

test("a code is grouped however it is typed or pasted", () => {
  expect(grouped("k7qwm3xp9tra")).toBe("K7QW-M3XP-9TRA");
  expect(grouped(" K7QW-M3XP-9TRA\n")).toBe("K7QW-M3XP-9TRA");
  expect(grouped("Setup: k7 qw")).toBe("SETU-PK7Q-W");
  expect(grouped("k7qwm3xp9traXYZ")).toBe("K7QW-M3XP-9TRA");
  expect(bare("k7-qw")).toBe("K7QW");
});

test("the caret stays at its character when hyphens come and go", () => {
  expect(regroup("K7QWM", 5)).toEqual({ value: "K7QW-M", caret: 6 });
  expect(regroup("K7QW", 4)).toEqual({ value: "K7QW", caret: 4 });
  expect(regroup("AK7QW-M3XP", 1)).toEqual({ value: "AK7Q-WM3X-P", caret: 1 });
  expect(regroup("", 0)).toEqual({ value: "", caret: 0 });
});

test("a code that cannot be one is told before it is sent", () => {
  expect(codeProblem("K7QW-M3XP-9TRA")).toBeNull();
  expect(codeProblem("")).toContain("setup code");
  expect(codeProblem("K7QW-M3XP-9TR")).toContain("1 is missing");
  expect(codeProblem("K7QW-M3XP-9")).toContain("3 are missing");
  expect(codeProblem("K7QW-M3XO-9TRA")).toContain("“O”");
});
