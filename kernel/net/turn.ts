/**
 * Turns: of what comes all at once, only so much begins in one turn of the event loop, so that
 * others are answered in between.
 */
import type { Machine } from "../machine.ts";

/** Null: begin now; else when. Whoever asked first begins first. */
export type Turns = () => Promise<void> | null;

/** Turns of which `perTurn` are had at once. */
export function createTurns(machine: Machine, perTurn: number): Turns {
  let begun = 0;
  const waiting: (() => void)[] = [];
  let armed = false;
  const next = (): void => {
    armed = false;
    const now = waiting.splice(0, perTurn);
    begun = now.length;
    if (begun > 0) arm();
    for (const begin of now) begin();
  };
  const arm = (): void => {
    if (armed) return;
    armed = true;
    machine.after(0, next);
  };
  return () => {
    arm();
    if (begun < perTurn && waiting.length === 0) {
      begun++;
      return null;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push(resolve);
    return promise;
  };
}
