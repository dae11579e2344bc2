/**
 * Random lives of a supervisor: requests, crashes, deploys, stops and idleness in any order, on a
 * simulated machine and with simulated processes, a seed each.
 *
 * What must hold in every life: whoever asks is answered; only a process that is ready and not
 * told to end gets requests, and only one at a time; what is stopped or crashed stays so until
 * told; in the end no process is left.
 */
import { describe, expect, test } from "bun:test";
import { type Machine, realMachine, type Timer } from "../machine.ts";
import { testApp, testRelease } from "./fixture.ts";
import { crashWindowMs, defaultLimits } from "./limits.ts";
import type { AppProcess } from "./process.ts";
import { NotRunning, Supervisor } from "./supervisor.ts";

/** A small generator of its own (mulberry32), so that a seed replays. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Time that passes when it is told to. */
function simulatedMachine(chance: () => number) {
  let nowMs = 0;
  const timers = new Set<{ dueAt: number; run: () => void }>();
  const machine: Machine = {
    ...realMachine(),
    now: () => Math.floor(nowMs),
    monotonicMs: () => nowMs,
    chance,
    after(delayMs, run): Timer {
      const timer = { dueAt: nowMs + delayMs, run };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    every: () => ({ cancel: () => undefined }),
  };
  const pass = async (ms: number) => {
    const until = nowMs + ms;
    for (;;) {
      const due = [...timers].filter(({ dueAt }) => dueAt <= until);
      const [next] = due.sort((a, b) => a.dueAt - b.dueAt);
      if (next === undefined) break;
      timers.delete(next);
      nowMs = Math.max(nowMs, next.dueAt);
      next.run();
      await turn();
    }
    nowMs = until;
  };
  return { machine, pass };
}

/** What a supervisor sees of a process, played by the test. */
class Played {
  readonly program;
  readonly #exited = Promise.withResolvers<string>();
  readonly #ready = Promise.withResolvers<void>();
  readonly exited = this.#exited.promise;
  readonly ready = this.#ready.promise;
  readonly tail: readonly string[] = [];
  readonly lastWords: readonly string[] = [];
  readonly startedAt = 0;
  readonly pid = 1;
  inFlight = 0;
  isReady = false;
  ending = false;
  gone = false;

  constructor(number: number) {
    this.program = { app: testApp, release: testRelease(number, {}) };
    this.ready.catch(() => undefined);
  }

  get busy(): boolean {
    return this.inFlight > 0;
  }

  becomeReady(): void {
    if (this.gone) return;
    this.isReady = true;
    this.#ready.resolve();
  }

  exit(reason: string): void {
    if (this.gone) return;
    this.gone = true;
    this.#ready.reject(new Error(reason));
    this.#exited.resolve(reason);
  }

  kill(reason: string): void {
    this.ending = true;
    this.exit(reason);
  }

  async drain(): Promise<void> {
    this.ending = true;
    await this.end();
  }

  async end(): Promise<void> {
    this.ending = true;
    this.exit("ended by the kernel");
    await this.exited;
  }

  expire(): void {}
  look(): void {}
}

/** Lets everything that waits on settled promises run. */
async function turn(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

class Life {
  readonly next: () => number;
  readonly processes: Played[] = [];
  readonly supervisor: Supervisor;
  readonly pass: (ms: number) => Promise<void>;
  asked = 0;
  answered = 0;
  current = 1;
  readonly failures: unknown[] = [];

  constructor(seed: number) {
    this.next = random(seed);
    const { machine, pass } = simulatedMachine(this.next);
    this.pass = pass;
    this.supervisor = new Supervisor(
      {
        machine,
        limits: { ...defaultLimits, waitingMax: 20 },
        wanted: () => ({ app: testApp, release: testRelease(this.current, {}) }),
        spawn: async (release) => this.#spawn(release.number),
        note: () => undefined,
      },
      this.next() < 0.2,
    );
  }

  async #spawn(number: number): Promise<AppProcess> {
    // Files are written first, which takes a moment in which anything may happen.
    if (this.next() < 0.5) await turn();
    if (this.next() < 0.1) throw new Error("the disk refused");
    const made = new Played(number);
    this.processes.push(made);
    return made as unknown as AppProcess;
  }

  ask(): void {
    this.asked++;
    const before = this.supervisor.condition.state;
    this.supervisor
      .serve(async (process) => this.#serves(process))
      .catch((error: unknown) => {
        if (!(error instanceof NotRunning)) throw error;
        if (before === "running") expect(error.kind).not.toBe("down");
      })
      .catch((error: unknown) => this.failures.push(error))
      .finally(() => this.answered++);
  }

  /** A process that gets a request is the current one, ready, and not told to end. */
  #serves(given: AppProcess): void {
    const process = given as unknown as Played;
    expect([process.isReady, process.ending]).toEqual([true, false]);
    expect(given === this.supervisor.current).toBe(true);
  }

  some(of: (process: Played) => boolean): Played | undefined {
    const found = this.processes.filter((process) => !process.gone && of(process));
    return found[Math.floor(this.next() * found.length)];
  }

  deploy(): void {
    const number = this.current + 1;
    this.supervisor.prove(testRelease(number, {})).then(
      () => {
        this.current = number;
        this.supervisor.adopt(`rel_${number}`);
      },
      () => undefined,
    );
  }

  async step(): Promise<void> {
    const { supervisor } = this;
    const choices: (() => unknown)[] = [
      () => this.ask(),
      () => this.ask(),
      () => this.some(({ isReady }) => !isReady)?.becomeReady(),
      () => this.some(({ isReady }) => !isReady)?.becomeReady(),
      () => this.some(() => true)?.exit("exited with code 1"),
      () => supervisor.tell({ kind: "stop", reason: "stopped by the owner" }),
      () => supervisor.tell({ kind: "start" }),
      () => supervisor.tell({ kind: "kill" }),
      () => supervisor.tick(this.next() < 0.3 ? 0 : 300_000),
      () => this.deploy(),
      () => void supervisor.replace().catch(() => undefined),
      () => this.pass(this.next() * 20_000),
    ];
    await choices[Math.floor(this.next() * choices.length)]?.();
  }
}

describe("random lives", () => {
  for (let seed = 1; seed <= 100; seed++) {
    test(`seed ${seed}`, async () => {
      const life = new Life(seed);
      const { supervisor } = life;
      for (let i = 0; i < 300; i++) {
        const before = supervisor.condition.state;
        await life.step();
        await turn();
        const { state } = supervisor.condition;
        if (state === "running") expect(supervisor.current).not.toBeNull();
        if (["stopped", "sleeping", "backoff", "crashed"].includes(state)) {
          expect(supervisor.current).toBeNull();
        }
        if (before === "stopped" && state === "running") expect(life.processes.length).not.toBe(0);
      }
      // Every start ends one way or the other, and those who wait have a deadline.
      for (let i = 0; i < 20; i++) {
        for (const process of life.processes) process.becomeReady();
        await turn();
        await life.pass(crashWindowMs);
        supervisor.tick(null);
      }
      await turn();
      expect(life.failures).toEqual([]);
      expect(life.answered).toBe(life.asked);
      await supervisor.close();
      await life.pass(10 * crashWindowMs);
      await turn();
      expect(life.processes.filter(({ gone }) => !gone)).toEqual([]);
    });
  }
});
