/** Every unit that is masked has a reason. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { root } from "../with.mjs";
import { maskedUnits } from "./root.ts";

test("the list of masked units reads as units", () => {
  const units = maskedUnits(readFileSync(`${root}image/masked.txt`, "utf8"));
  expect(units.length).toBeGreaterThan(20);
  expect(
    units.filter(
      (unit) => !/^[\w@-]+\.(service|socket|target|mount|automount|timer|path)$/.test(unit),
    ),
  ).toEqual([]);
  expect(new Set(units).size).toBe(units.length);
});
