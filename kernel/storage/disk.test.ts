/** The disk's figures and the mode they ask for. */
import { expect, test } from "bun:test";
import { figuresOf, modeAt } from "./disk.ts";

test("the share in use is df's: what is reserved for root counts for nobody", () => {
  const figures = figuresOf({ bsize: 4096, blocks: 1000, bfree: 300, bavail: 200 });
  expect(figures.freeBytes).toBe(200 * 4096);
  expect(figures.totalBytes).toBe(900 * 4096);
  expect(figures.used).toBeCloseTo(700 / 900);
});

test("a partition without blocks is full", () => {
  expect(figuresOf({ bsize: 4096, blocks: 0, bfree: 0, bavail: 0 }).used).toBe(1);
});

test("at the mark writes go on, above it they do not, and begin again well below it", () => {
  const marks = { diskUsedMax: 0.8, diskBackShare: 0.01 };
  expect(modeAt(0.8, "normal", marks)).toBe("normal");
  expect(modeAt(0.81, "normal", marks)).toBe("read-only");
  expect(modeAt(0.795, "read-only", marks)).toBe("read-only");
  expect(modeAt(0.795, "normal", marks)).toBe("normal");
  expect(modeAt(0.79, "read-only", marks)).toBe("normal");
});
