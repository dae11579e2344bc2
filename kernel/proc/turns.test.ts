/** Who passes at once, who waits, and in which order: with a machine whose time stands still. */
import { expect, test } from "bun:test";
import { othersMs, turnBytes } from "./limits.ts";
import { Turns } from "./turns.ts";

const piece = turnBytes / 2;

/** Turns, what has passed so far, and a hand on the clock. */
function made() {
  let nowMs = 1000;
  let due: (() => void)[] = [];
  const passed: string[] = [];
  const turns = new Turns({
    monotonicMs: () => nowMs,
    after: (_ms, run) => {
      due.push(run);
      return { cancel: () => undefined };
    },
  });
  return {
    turns,
    /** One piece of `name`, which is also who it belongs to. */
    take: (owner: { name: string }, text = owner.name) => {
      turns.take(owner, piece, () => void passed.push(text));
    },
    asked: (owner: object) => turns.asked(owner, nowMs),
    /** What has passed since it was asked last. */
    passed: () => passed.splice(0),
    turn: () => {
      const ran = due;
      due = [];
      for (const run of ran) run();
      return ran.length;
    },
    wait: (ms: number) => {
      nowMs += ms;
    },
  };
}

const a = { name: "a" };
const b = { name: "b" };
const c = { name: "c" };

test("who is alone passes at once, however much it is, and no timer runs", () => {
  const { take, asked, passed, turn } = made();
  asked(a);
  for (let i = 0; i < 100; i++) take(a);
  expect(passed().length).toBe(100);
  expect(turn()).toBe(0);
});

test("while others are served it gets a turn's bytes at a time, in order", () => {
  const { take, asked, passed, turn } = made();
  asked(b);
  asked(a);
  for (const text of ["1", "2", "3", "4", "5"]) take(a, text);
  expect(passed()).toEqual(["1", "2"]);
  expect(turn()).toBe(1);
  expect(passed()).toEqual(["3", "4"]);
  turn();
  expect(passed()).toEqual(["5"]);
  turn();
  expect(turn()).toBe(0);
});

test("those who wait go around, one piece each: who has much waiting does not come first", () => {
  const { take, asked, passed, turn } = made();
  for (const owner of [a, b, c]) asked(owner);
  for (let i = 0; i < 6; i++) take(a);
  take(b);
  take(c);
  expect(passed()).toEqual(["a", "a"]);
  turn();
  expect(passed()).toEqual(["a", "b"]);
  turn();
  expect(passed()).toEqual(["c", "a"]);
  turn();
  expect(passed()).toEqual(["a", "a"]);
});

test("whose others have gone is alone again", () => {
  const { take, asked, passed, wait } = made();
  asked(b);
  asked(a);
  for (let i = 0; i < 3; i++) take(a);
  expect(passed().length).toBe(2);
  wait(othersMs + 1);
  asked(a);
  take(a, "alone");
  expect(passed()).toEqual(["alone"]);
  // Of the others none is alone: somebody has just been asked, and this turn's bytes are used up.
  take(c);
  expect(passed()).toEqual([]);
});
