/** Long output, a screenful at a time, by a reader whose keys are written down. */
import { expect, test } from "bun:test";
import { readKeys } from "./key.ts";
import type { Keyboard } from "./keyboard.ts";
import { Pager, rowsOf } from "./pager.ts";
import { ClosedPipe } from "./terminal.ts";

/** A keyboard on which these keys are pressed, one by one. */
function pressing(text: string): Keyboard {
  const keys = [...text].flatMap((one) => readKeys(one).keys);
  const read = async () => keys.shift() ?? null;
  return { gone: false, open: () => {}, close: () => {}, unread: () => {}, read };
}

function pager(keys: string) {
  let screen = "";
  const options = {
    keyboard: pressing(keys),
    idleMs: null,
    size: () => ({ columns: 20, rows: 5 }),
    out: (text: string) => {
      screen += text;
    },
  };
  return {
    pager: new Pager(options),
    rows: (): string[] => Bun.stripANSI(screen).match(/line \d+/g) ?? [],
  };
}

const lines = (count: number) =>
  Array.from({ length: count }, (_, i) => `line ${i + 1}\n`).join("");
const upTo = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `line ${from + i}`);

test("what fits is printed and nobody asked", async () => {
  const { pager: page, rows } = pager("");
  await page.write(lines(4));
  await page.finish();
  expect(rows()).toEqual(upTo(1, 4));
});

test("a screen, a line, and the end", async () => {
  const { pager: page, rows } = pager(" \r q");
  await page.write(lines(10));
  await page.finish();
  expect(rows()).toEqual(upTo(1, 10));
});

test("back by a screen, and on again", async () => {
  const { pager: page, rows } = pager(" b  q");
  await page.write(lines(12));
  await page.finish();
  expect(rows()).toEqual([...upTo(1, 8), ...upTo(1, 4), ...upTo(5, 12)]);
});

test("search skips to the line, also in what comes later", async () => {
  const { pager: page, rows } = pager("/ne 11\rq");
  await page.write(lines(8));
  await page.write("line 9\nline 10\nline 11\nline 12\n");
  await page.finish();
  expect(rows()).toEqual([...upTo(1, 4), "line 11", "line 12"]);
});

test("q ends the command that writes", async () => {
  const { pager: page, rows } = pager("q");
  await expect(page.write(lines(9))).rejects.toBeInstanceOf(ClosedPipe);
  await expect(page.write("more\n")).rejects.toBeInstanceOf(ClosedPipe);
  expect(rows()).toEqual(upTo(1, 4));
});

test("a long line takes as many rows as it needs", () => {
  expect(rowsOf("x".repeat(45), 20).map((row) => row.length)).toEqual([20, 20, 5]);
  expect(rowsOf("\x1b[1mab\x1b[22m", 20)).toEqual(["\x1b[1mab\x1b[22m"]);
});
