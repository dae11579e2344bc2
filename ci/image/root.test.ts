/** Every unit that is masked has a reason. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { root } from "../with.mjs";
import { maskedUnits, osRelease } from "./root.ts";

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

test("a root says which version of us it is, and whose distribution", () => {
  const text = osRelease("ID=debian\nIMAGE_VERSION=0\n", "1.2.3");
  expect(text).toBe("ID=debian\nIMAGE_ID=fazt\nIMAGE_VERSION=1.2.3\n");
});
