/**
 * The life of an app's process, as a pure function `(condition, event) → (condition, actions)`.
 * stopped  → starting (start, adopted)
 * sleeping → starting (wake, start) | running (adopted) | stopped (stop)
 * starting → running (ready, adopted) | backoff, crashed (exit) | draining (stop, kill)
 * running  → draining (idle, stop, kill) | backoff, crashed (exit) | running (adopted)
 * draining → its goal (exit): stopped, sleeping, or starting when it was wanted again meanwhile
 * backoff  → starting (retry, start) | running (adopted) | stopped (stop)
 * crashed  → starting (start) | running (adopted) | stopped (stop)
 *
 * Invariants
 * 1. A process exists in starting, running and draining, and in no other state.
 * 2. Only `start`, `stop` and `adopted` (a deploy) leave crashed; only `start` leaves stopped.
 * 3. An event that means nothing in a state changes nothing and asks for nothing.
 */
import {
  backoffFirstMs,
  backoffJitter,
  backoffMaxMs,
  crashesMax,
  crashWindowMs,
  retireAgeMs,
  retireShare,
} from "./limits.ts";

/** What an app with server code can be in. */
export const states = [
  "stopped",
  "starting",
  "running",
  "draining",
  "sleeping",
  "backoff",
  "crashed",
] as const;

export type State = (typeof states)[number];

/** Everything the machine remembers of an app. Times are on one clock, in milliseconds. */
export interface Condition {
  readonly state: State;
  /** Where draining leads; meaningless in other states. */
  readonly goal: "stopped" | "sleeping" | "starting";
  /** When it crashed, within the window. */
  readonly crashes: readonly number[];
  /** Crashes in a row, which the wait doubles with. */
  readonly failures: number;
  /** When the running process became ready. */
  readonly readyAt: number;
  /** Why it is in this state, or null. */
  readonly reason: string | null;
}

/** What happened. `at` is the time, `chance` a number in [0, 1) for jitter. */
export type Event =
  | { readonly kind: "wake" }
  | { readonly kind: "start" }
  | { readonly kind: "ready"; readonly at: number }
  | { readonly kind: "adopted"; readonly at: number }
  | {
      readonly kind: "exit";
      readonly at: number;
      readonly chance: number;
      readonly reason: string;
    }
  | { readonly kind: "idle" }
  | { readonly kind: "stop"; readonly reason: string }
  | { readonly kind: "kill" }
  | { readonly kind: "retry" };

/**
 * What the shell must do. `spawn` a process; `admit` those who wait; `drain` the process and end
 * it; `kill` it now; `refuse` those who wait; `wait` and then tell `retry`; `unwait`.
 */
export type Action =
  | { readonly kind: "spawn" | "admit" | "drain" | "kill" | "refuse" | "unwait" }
  | { readonly kind: "wait"; readonly delayMs: number };

export interface Step {
  readonly condition: Condition;
  readonly actions: readonly Action[];
}

const act = {
  spawn: { kind: "spawn" },
  admit: { kind: "admit" },
  drain: { kind: "drain" },
  kill: { kind: "kill" },
  refuse: { kind: "refuse" },
  unwait: { kind: "unwait" },
} as const satisfies Record<string, Action>;

/** How an app begins: asleep, or stopped when it was stopped for good. */
export function initial(stopped: boolean): Condition {
  return {
    state: stopped ? "stopped" : "sleeping",
    goal: "sleeping",
    crashes: [],
    failures: 0,
    readyAt: 0,
    reason: stopped ? "stopped before this kernel started" : null,
  };
}

/** The wait before the start after the `failures`th crash in a row, milliseconds. */
export function backoffMs(failures: number, chance: number): number {
  const nominal = Math.min(backoffMaxMs, backoffFirstMs * 2 ** (failures - 1));
  return Math.round(nominal * (1 - backoffJitter + 2 * backoffJitter * chance));
}

/** What is known of a running process when it is asked whether it should be replaced. */
export interface Health {
  readonly usedBytes: number;
  readonly limitBytes: number;
  /** What the machine has to give to a second process. */
  readonly freeBytes: number;
  readonly ageMs: number;
}

/**
 * Whether a process near its memory's limit should hand over to a fresh one before it is killed:
 * only where there is room for both, and never twice in quick succession.
 */
export function shouldRetire({ usedBytes, limitBytes, freeBytes, ageMs }: Health): boolean {
  if (usedBytes < limitBytes * retireShare) return false;
  return freeBytes >= limitBytes && ageMs >= retireAgeMs;
}

/** One step of the machine. */
export function step(condition: Condition, event: Event): Step {
  const nothing: Step = { condition, actions: [] };
  switch (event.kind) {
    case "wake":
      return wake(condition) ?? nothing;
    case "start":
      return start(condition) ?? nothing;
    case "stop":
      return stop(condition, event.reason) ?? nothing;
    case "kill":
      return kill(condition) ?? nothing;
    case "retry":
      return condition.state === "backoff" ? starting(condition) : nothing;
    case "idle":
      if (condition.state !== "running") return nothing;
      return draining(condition, { goal: "sleeping", reason: "idle" }, act.drain);
    case "ready":
      if (condition.state !== "starting") return nothing;
      return { condition: running(condition, event.at), actions: [act.admit] };
    case "adopted":
      return adopted(condition, event.at) ?? nothing;
    case "exit":
      return exit(condition, event) ?? nothing;
  }
}

function starting(condition: Condition, ...before: readonly Action[]): Step {
  return {
    condition: { ...condition, state: "starting", reason: null },
    actions: [...before, act.spawn],
  };
}

function running(condition: Condition, at: number): Condition {
  return { ...condition, state: "running", readyAt: at, reason: null };
}

function draining(
  condition: Condition,
  to: { goal: Condition["goal"]; reason: string },
  ...actions: Action[]
): Step {
  return { condition: { ...condition, ...to, state: "draining" }, actions };
}

const forgiven = (condition: Condition): Condition => ({ ...condition, crashes: [], failures: 0 });

function wake(condition: Condition): Step | null {
  switch (condition.state) {
    case "sleeping":
      return starting(condition);
    case "draining":
      if (condition.goal === "stopped") return { condition, actions: [act.refuse] };
      return { condition: { ...condition, goal: "starting" }, actions: [] };
    case "stopped":
    case "crashed":
      return { condition, actions: [act.refuse] };
    default:
      return null;
  }
}

function start(condition: Condition): Step | null {
  switch (condition.state) {
    case "stopped":
    case "sleeping":
    case "crashed":
      return starting(forgiven(condition));
    case "backoff":
      return starting(forgiven(condition), act.unwait);
    case "draining":
      return { condition: { ...forgiven(condition), goal: "starting" }, actions: [] };
    default:
      return null;
  }
}

function stop(condition: Condition, reason: string): Step | null {
  const stopped: Condition = { ...condition, state: "stopped", reason };
  switch (condition.state) {
    case "starting":
      return draining(condition, { goal: "stopped", reason }, act.refuse, act.kill);
    case "running":
      return draining(condition, { goal: "stopped", reason }, act.drain);
    case "draining":
      return { condition: { ...condition, goal: "stopped", reason }, actions: [act.refuse] };
    case "backoff":
      return { condition: stopped, actions: [act.unwait, act.refuse] };
    case "sleeping":
    case "crashed":
      return { condition: stopped, actions: [] };
    default:
      return null;
  }
}

function kill(condition: Condition): Step | null {
  const reason = "killed by the owner";
  switch (condition.state) {
    case "starting":
      return draining(condition, { goal: "sleeping", reason }, act.refuse, act.kill);
    case "running":
      return draining(condition, { goal: "sleeping", reason }, act.kill);
    case "draining":
      return { condition, actions: [act.kill] };
    default:
      return null;
  }
}

function adopted(condition: Condition, at: number): Step | null {
  const now = running(forgiven(condition), at);
  switch (condition.state) {
    case "running":
    case "starting":
    case "sleeping":
    case "crashed":
      return { condition: now, actions: [act.admit] };
    case "backoff":
      return { condition: now, actions: [act.unwait, act.admit] };
    case "draining":
      if (condition.goal === "stopped") return null;
      return { condition: now, actions: [act.admit] };
    default:
      return null;
  }
}

function exit(condition: Condition, event: Event & { kind: "exit" }): Step | null {
  switch (condition.state) {
    case "starting":
    case "running":
      return crash(condition, event);
    case "draining":
      if (condition.goal === "starting") return starting(condition);
      return { condition: { ...condition, state: condition.goal }, actions: [] };
    default:
      return null;
  }
}

function crash(condition: Condition, event: Event & { kind: "exit" }): Step {
  const { at, chance, reason } = event;
  const lived = condition.state === "running" && at - condition.readyAt >= crashWindowMs;
  const recent = condition.crashes.filter((time) => at - time < crashWindowMs);
  const crashes = [...recent, at].slice(-crashesMax);
  const failures = (lived ? 0 : condition.failures) + 1;
  if (crashes.length >= crashesMax) {
    const seconds = crashWindowMs / 1000;
    const why = `${crashesMax} crashes within ${seconds} s, the last: ${reason}`;
    return {
      condition: { ...condition, state: "crashed", crashes, failures, reason: why },
      actions: [act.refuse],
    };
  }
  const wait: Action = { kind: "wait", delayMs: backoffMs(failures, chance) };
  // Who waits beside one that ran came after its end, and has asked nobody yet.
  const actions = condition.state === "running" ? [wait] : [act.refuse, wait];
  return { condition: { ...condition, state: "backoff", crashes, failures, reason }, actions };
}
