/** Figures and how they are judged and shown; wrk's report; the order of rounds. */
import { expect, test } from "bun:test";
import { takeTurns } from "./bench.ts";
import { readReport } from "./load.ts";
import { median, quantile, ratioRow, render, valueRow } from "./row.ts";

const named = (goal: { atLeast: number } | { atMost: number } | null) => ({
  id: "x",
  what: "a thing",
  unit: "req/s",
  goal,
});

test("quantiles are samples that were measured", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2);
  expect(quantile([5, 1, 4, 2, 3], 0.99)).toBe(5);
  expect(quantile([7], 0)).toBe(7);
  expect(quantile([], 0.5)).toBeNaN();
});

test("a ratio is the median of the rounds' ratios, not the ratio of medians", () => {
  const row = ratioRow(named({ atLeast: 0.9 }), [10, 100, 30], {
    name: "nginx",
    samples: [20, 100, 10],
  });
  expect(row).toMatchObject({ ratio: 1, value: 30, min: 0.5, max: 3, rounds: 3, met: true });
  expect(row.target).toBe(">= 0.9x nginx");
});

test("a figure is judged by the share of the samples that is asked for", () => {
  const goal = named({ atMost: 40 });
  expect(valueRow(goal, [10, 20, 90])).toMatchObject({ value: 20, met: true });
  expect(valueRow(goal, [10, 20, 90], 0.99)).toMatchObject({ value: 90, met: false });
  expect(valueRow(named(null), [1])).toMatchObject({ met: null, target: "-" });
});

test("the table says which figures fall short", () => {
  const short = render([valueRow(named({ atLeast: 5 }), [4])]);
  expect(short.split("\n")[1]).toBe(
    "a thing  >= 5 req/s  4 req/s          4 .. 4      1       SHORT",
  );
});

test("wrk's report is read, and errors make it void", () => {
  const text = "Requests/sec:  84765.34\nTransfer/sec:     1.50GB\n";
  expect(readReport(text)).toEqual({ requestsPerS: 84765.34, bytesPerS: 1.5 * 2 ** 30 });
  expect(() => readReport(`  Non-2xx or 3xx responses: 5\n${text}`)).toThrow("Non-2xx");
  expect(() => readReport(`  Socket errors: connect 0, read 1\n${text}`)).toThrow("Socket errors");
  expect(() => readReport("unable to connect")).toThrow("unable to connect");
});

test("sides take turns, and the first round does not count", async () => {
  const order: string[] = [];
  const side = (name: string) => async () => order.push(name);
  const samples = await takeTurns(2, { a: side("a"), b: side("b") });
  expect(order.join("")).toBe("baabba");
  expect(samples).toEqual({ a: [3, 6], b: [4, 5] });
});
