/** Buckets and quantiles. */
import { expect, test } from "bun:test";
import { boundsS, Histogram, quantileMs } from "./histogram.ts";

test("counts are cumulative, and a bound is part of its bucket", () => {
  const histogram = new Histogram();
  for (const ms of [0.1, 0.5, 0.6, 1, 40_000]) histogram.note(ms);
  const { counts, sumS } = histogram.distribution();
  expect(counts.slice(0, 3)).toEqual([2, 4, 4]);
  expect([counts.length, counts.at(-2), counts.at(-1)]).toEqual([boundsS.length + 1, 4, 5]);
  expect(sumS).toBeCloseTo(40.0022);
});

test("quantiles, also of what came between two looks", () => {
  const histogram = new Histogram();
  expect(quantileMs(0.5, histogram.distribution())).toBeNull();
  for (let i = 0; i < 99; i++) histogram.note(0.7);
  const before = histogram.distribution();
  expect(quantileMs(0.99, before)).toBe(1);
  histogram.note(200);
  const after = histogram.distribution();
  expect([quantileMs(0.5, after), quantileMs(0.999, after)]).toEqual([1, 250]);
  expect(quantileMs(0.5, after, before)).toBe(250);
  expect(quantileMs(0.5, after, after)).toBeNull();
});
