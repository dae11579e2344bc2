/**
 * Whether the kernel itself has to wait for a processor (`/proc/self/schedstat`, sched-stats.rst of
 * Linux): then somebody takes them all, and who it is is looked for at once, not at the next tick.
 */
import { readFileSync } from "node:fs";
import type { Machine, Timer } from "../../machine.ts";
import { quickDelayMs, quickMs } from "./limits.ts";

/** Asks while it is on, and tells when the kernel has waited. */
export class WaitWatch {
  readonly #machine: Machine;
  readonly #told: () => void;
  #timer: Timer | null = null;
  #delayMs = 0;

  constructor(machine: Machine, told: () => void) {
    this.#machine = machine;
    this.#told = told;
  }

  /** On while an app runs: a machine whose apps sleep is not woken for it. Any number of times. */
  turn(on: boolean): void {
    if (on) this.#timer ??= this.#machine.every(quickMs, () => this.#ask());
    else {
      this.#timer?.cancel();
      this.#timer = null;
    }
  }

  #ask(): void {
    const before = this.#delayMs;
    this.#delayMs = delayMs();
    if (this.#delayMs - before >= quickDelayMs) this.#told();
  }
}

/** How long this program's own thread has waited for a processor, milliseconds; 0 if not told. */
function delayMs(): number {
  try {
    return Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[1]) / 1e6;
  } catch {
    return 0; // a host without /proc, or one that does not count it
  }
}
