/** Rounds of a live table: each is shown whole, in place, and no taller than the screen. */
import { expect, test } from "bun:test";
import { roundLines, roundText, showRounds } from "./live.ts";

const look = { columns: 80, rows: 6, color: false, now: 0 };

test("rows that come together are one round", async () => {
  const rounds: unknown[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* rows() {
    yield { app: "a" };
    yield { app: "b" };
    await promise;
    yield { app: "a" };
  }
  await showRounds(rows(), async (round) => {
    rounds.push(round);
    if (rounds.length === 2) resolve();
  });
  // The last one too, when nothing comes any more.
  expect(rounds).toEqual([[], [{ app: "a" }, { app: "b" }], [{ app: "a" }]]);
});

test("a screen that is gone ends it at the next row", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* rows() {
    yield { app: "a" };
    await promise;
    yield { app: "a" };
  }
  const show = async (round: readonly unknown[]) => {
    if (round.length === 0) return;
    resolve();
    throw new Error("EPIPE");
  };
  await expect(showRounds(rows(), show)).rejects.toThrow("EPIPE");
});

test("a table from the top of the screen, cut to it", () => {
  const rows = Array.from({ length: 9 }, (_, i) => ({ at: 1, app: `app${i}`, state: "running" }));
  const text = roundText(rows, {}, look);
  expect(text).toStartWith("\x1b[HAPP");
  expect(text.split("\r\n")).toHaveLength(6);
  expect(roundText([], {}, look)).toContain("nothing to show yet");
});

test("without a screen, a heading and plain rows, and nothing before there are any", () => {
  const plain = { ...look, columns: null };
  const lines = roundLines([{ at: 1, app: "kernel", restarts: 0 }], {}, plain);
  expect(lines).toEqual(["APP     RESTARTS", "kernel         0"]);
  expect(roundLines([], {}, plain)).toEqual([]);
});
