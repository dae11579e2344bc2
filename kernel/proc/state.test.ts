/** The state machine: every state with every event, the waits, and random lives. */
import { describe, expect, test } from "bun:test";
import { backoffMaxMs, crashesMax, crashWindowMs } from "./limits.ts";
import {
  type Action,
  backoffMs,
  type Condition,
  type Event,
  initial,
  type State,
  step,
} from "./state.ts";

const events: Record<string, Event> = {
  wake: { kind: "wake" },
  start: { kind: "start" },
  ready: { kind: "ready", at: 1000 },
  adopted: { kind: "adopted", at: 1000 },
  exit: { kind: "exit", at: 1000, chance: 0.5, reason: "exited with code 1" },
  idle: { kind: "idle" },
  stop: { kind: "stop", reason: "stopped by the owner" },
  kill: { kind: "kill" },
  retry: { kind: "retry" },
};

const states: State[] = [
  "stopped",
  "sleeping",
  "starting",
  "running",
  "draining",
  "backoff",
  "crashed",
];

/** State and event → state and actions; what is not listed changes nothing. */
const table: Record<string, [State, string]> = {
  "stopped wake": ["stopped", "refuse"],
  "stopped start": ["starting", "spawn"],
  "sleeping wake": ["starting", "spawn"],
  "sleeping start": ["starting", "spawn"],
  "sleeping adopted": ["running", "admit"],
  "sleeping stop": ["stopped", ""],
  "starting ready": ["running", "admit"],
  "starting adopted": ["running", "admit"],
  "starting exit": ["backoff", "refuse wait"],
  "starting stop": ["draining", "refuse kill"],
  "starting kill": ["draining", "refuse kill"],
  "running adopted": ["running", "admit"],
  "running exit": ["backoff", "wait"],
  "running idle": ["draining", "drain"],
  "running stop": ["draining", "drain"],
  "running kill": ["draining", "kill"],
  "draining adopted": ["running", "admit"],
  "draining exit": ["sleeping", ""],
  "draining kill": ["draining", "kill"],
  "draining stop": ["draining", "refuse"],
  "backoff start": ["starting", "unwait spawn"],
  "backoff retry": ["starting", "spawn"],
  "backoff adopted": ["running", "unwait admit"],
  "backoff stop": ["stopped", "unwait refuse"],
  "crashed wake": ["crashed", "refuse"],
  "crashed start": ["starting", "spawn"],
  "crashed adopted": ["running", "admit"],
  "crashed stop": ["stopped", ""],
};

const kinds = (actions: readonly Action[]) => actions.map((action) => action.kind).join(" ");
const at = (state: State): Condition => ({ ...initial(false), state });

describe("every state with every event", () => {
  for (const state of states) {
    for (const [name, event] of Object.entries(events)) {
      const [to, actions] = table[`${state} ${name}`] ?? [state, ""];
      test(`${state} + ${name} → ${to}${actions === "" ? "" : ` (${actions})`}`, () => {
        const next = step(at(state), event);
        expect([next.condition.state, kinds(next.actions)]).toEqual([to, actions]);
      });
    }
  }
});

describe("draining", () => {
  test("a request while it goes to sleep is served by the next process", () => {
    const asleep = step(at("running"), { kind: "idle" }).condition;
    const wanted = step(asleep, { kind: "wake" });
    expect(kinds(wanted.actions)).toBe("");
    const gone = step(wanted.condition, { kind: "exit", at: 1, chance: 0, reason: "ended" });
    expect([gone.condition.state, kinds(gone.actions)]).toEqual(["starting", "spawn"]);
  });

  test("a request while it is being stopped is refused, a start is not", () => {
    const stopping = step(at("running"), {
      kind: "stop",
      reason: "stopped by the owner",
    }).condition;
    expect(kinds(step(stopping, { kind: "wake" }).actions)).toBe("refuse");
    expect(step(stopping, { kind: "adopted", at: 1 }).condition.state).toBe("draining");
    const again = step(stopping, { kind: "start" }).condition;
    const gone = step(again, { kind: "exit", at: 1, chance: 0, reason: "ended" });
    expect(gone.condition.state).toBe("starting");
  });

  test("stop while going to sleep ends stopped", () => {
    const asleep = step(at("running"), { kind: "idle" }).condition;
    const stopping = step(asleep, { kind: "stop", reason: "stopped by the owner" }).condition;
    const gone = step(stopping, { kind: "exit", at: 1, chance: 0, reason: "ended" });
    expect(gone.condition.state).toBe("stopped");
    expect(gone.condition.reason).toBe("stopped by the owner");
  });
});

describe("crashes", () => {
  const crash = (condition: Condition, time: number, chance = 0.5) =>
    step(condition, { kind: "exit", at: time, chance, reason: "exited with code 1" });

  test("the wait doubles from 1 s to 60 s, within a fifth", () => {
    const nominal = [1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1000);
    expect(nominal.map((_, i) => backoffMs(i + 1, 0.5))).toEqual(nominal);
    expect(backoffMs(1, 0)).toBe(800);
    expect(backoffMs(1, 0.999999)).toBe(1200);
  });

  test("five crashes within 60 s and it stays down, with the last reason", () => {
    let condition = at("running");
    const waits: number[] = [];
    for (let i = 1; i < crashesMax; i++) {
      const next = crash(condition, i * 10_000);
      expect(next.condition.state).toBe("backoff");
      for (const action of next.actions) if (action.kind === "wait") waits.push(action.delayMs);
      condition = step(next.condition, { kind: "retry" }).condition;
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000]);
    const last = crash(condition, 50_000);
    expect([last.condition.state, kinds(last.actions)]).toEqual(["crashed", "refuse"]);
    expect(last.condition.reason).toBe("5 crashes within 60 s, the last: exited with code 1");
    const told = step(last.condition, { kind: "start" }).condition;
    expect([told.crashes, told.failures, told.reason]).toEqual([[], 0, null]);
  });

  test("crashes further apart than the window never add up", () => {
    let condition = at("running");
    for (let i = 0; i < 20; i++) {
      const next = crash(condition, i * crashWindowMs);
      expect(next.condition.state).toBe("backoff");
      condition = step(next.condition, { kind: "retry" }).condition;
    }
    expect(condition.failures).toBe(20);
  });

  test("a process that lived for the window starts the count of waits again", () => {
    const tired: Condition = { ...at("running"), failures: 6, readyAt: 0 };
    expect(crash(tired, crashWindowMs).condition.failures).toBe(1);
    expect(crash(tired, crashWindowMs - 1).condition.failures).toBe(7);
  });
});

describe("random lives", () => {
  const hasProcess = (state: State) => ["starting", "running", "draining"].includes(state);

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

  for (let seed = 1; seed <= 50; seed++) {
    test(`seed ${seed}`, () => {
      const next = random(seed);
      let condition = initial(next() < 0.2);
      let time = 0;
      /** Processes there are: what the shell would have, by the actions alone. */
      let processes = hasProcess(condition.state) ? 1 : 0;
      for (let i = 0; i < 400; i++) {
        time += Math.floor(next() * 20_000);
        const names = Object.keys(events);
        const name = names[Math.floor(next() * names.length)] ?? "wake";
        // A process can only exit or become ready when there is one.
        if ((name === "exit" || name === "ready") && processes === 0) continue;
        const event = { ...events[name], at: time, chance: next() } as Event;
        const before = condition;
        const after = step(before, event);
        condition = after.condition;
        if (name === "exit") processes--;
        for (const action of after.actions) {
          if (action.kind === "spawn") processes++;
          if (action.kind === "wait") {
            expect(action.delayMs).toBeGreaterThanOrEqual(800);
            expect(action.delayMs).toBeLessThanOrEqual(backoffMaxMs * 1.2);
          }
        }
        // The adopted process comes into the place of the one that was, if any was.
        if (name === "adopted" && condition.state === "running") processes = 1;
        expect(processes).toBe(hasProcess(condition.state) ? 1 : 0);
        expect(condition.crashes.length).toBeLessThanOrEqual(crashesMax);
        if (before.state === "crashed" && condition.state !== "crashed") {
          expect(["start", "adopted", "stop"]).toContain(name);
        }
        if (before.state === "stopped" && condition.state !== "stopped") {
          expect(name).toBe("start");
        }
      }
    });
  }
});
