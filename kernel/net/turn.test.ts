/** Turns: a few at once, the rest one turn of the loop after the other, in order. */
import { expect, test } from "bun:test";
import { realMachine } from "../machine.ts";
import { createTurns } from "./turn.ts";

/** A machine whose timers ring when they are told to. */
function bell() {
  const due: (() => void)[] = [];
  const machine = {
    ...realMachine(),
    after: (_delayMs: number, run: () => void) => {
      due.push(run);
      return { cancel: () => undefined };
    },
  };
  const ring = async () => {
    for (const run of due.splice(0)) run();
    await Promise.resolve();
  };
  return { machine, ring, armed: () => due.length };
}

test("what comes at once begins a few at a time, first come first", async () => {
  const { machine, ring, armed } = bell();
  const turns = createTurns(machine, 2);
  const begun: number[] = [];
  for (let n = 0; n < 5; n++) {
    const turn = turns();
    if (turn === null) begun.push(n);
    else void turn.then(() => begun.push(n));
  }
  expect(begun).toEqual([0, 1]);
  await ring();
  expect(begun).toEqual([0, 1, 2, 3]);
  // Whoever comes now does not overtake.
  const late = turns();
  expect(late).not.toBeNull();
  void late?.then(() => begun.push(5));
  await ring();
  expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
  await ring();
  expect(armed()).toBe(0);
  expect(turns()).toBeNull();
});
