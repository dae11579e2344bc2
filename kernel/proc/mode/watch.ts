/**
 * Watches the machine and performs what its mode asks for: drops caches, puts apps to sleep and
 * keeps them there, closes the listener to everybody but the owner, ends the kernel in order.
 *
 * Rules: looks are cheap (a few small files) and come every two seconds; each change is logged;
 * what a mode took away, the way back gives back.
 */
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { lookMs } from "./limits.ts";
import {
  atLeast,
  initialMemory,
  type Measures,
  type Mode,
  modeOf,
  nextMemory,
  type Wish,
} from "./mode.ts";

export interface ModeView {
  readonly mode: Mode;
  /** Why, one clause; null while normal. */
  readonly reason: string | null;
  /** Unix ms of the change to this mode. */
  readonly enteredAt: number;
}

/** What a mode takes away, and gives back; each may be said again. */
export interface ModeActions {
  /** Keeps caches as small as they can be. */
  dropCaches(drop: boolean): void;
  /** Puts apps to sleep and starts none; the listener answers only for the OS host. */
  cockpitOnly(only: boolean): void;
}

export interface Modes {
  /** The mode now; a disk that is at its mark is seen at once. */
  now(): ModeView;
  /** Measures and acts; done every two seconds by itself. */
  look(): ModeView;
  /** Calls `told` when the process must end, to be started afresh by whoever watches over it. */
  onEmergency(told: (reason: string) => void): void;
  /** Tells the same, for another reason than memory. */
  end(reason: string): void;
  close(): void;
}

export interface ModeOptions {
  readonly machine: Machine;
  readonly storage: Pick<Storage, "logs" | "writable">;
  readonly measure: () => Measures;
  readonly actions: ModeActions;
}

export function createModes(options: ModeOptions): Modes {
  const { machine, storage, measure, actions } = options;
  let memory = initialMemory(machine.monotonicMs());
  let told: Wish = { mode: "normal", reason: null };
  let enteredAt = machine.now();
  const emergencies = new Set<(reason: string) => void>();

  const end = (reason: string): void => {
    for (const tell of emergencies) tell(reason);
  };

  const changed = (before: Mode, { mode, reason }: Wish): void => {
    enteredAt = machine.now();
    const level = atLeast(before, mode) ? "info" : "warn";
    const text = `mode ${before} → ${mode}: ${reason ?? "what was short is there again"}`;
    storage.logs.append({ app: "kernel", appId: null, releaseId: null, level, text });
    if (mode === "emergency") end(reason ?? "");
  };

  const judge = (): ModeView => {
    const wish = modeOf(memory, !storage.writable());
    const before = told.mode;
    told = wish;
    if (wish.mode !== before) changed(before, wish);
    return { ...wish, enteredAt };
  };

  /** Tells of a mark that memory has passed, in either direction. */
  const act = (before: Mode, now: Mode): void => {
    const passed = (mark: Mode) => atLeast(now, mark) !== atLeast(before, mark);
    if (passed("degraded")) actions.dropCaches(atLeast(now, "degraded"));
    if (passed("cockpit-only")) actions.cockpitOnly(atLeast(now, "cockpit-only"));
  };

  const look = (): ModeView => {
    const before = memory.mode;
    memory = nextMemory(memory, measure(), machine.monotonicMs());
    act(before, memory.mode);
    return judge();
  };

  const looking = machine.every(lookMs, look);
  return {
    now: judge,
    look,
    onEmergency: (tell) => void emergencies.add(tell),
    end,
    close: () => looking.cancel(),
  };
}
