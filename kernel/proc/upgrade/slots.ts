/**
 * Which program runs, and what was tried: the state of the slots as pure transitions.
 *
 * Three places: `base`, installed and started first; slots `a` and `b`, which upgrades fill in turn.
 *
 * Invariants
 * 1. `active` changes by a commit, a rollback or a revert, and by nothing else: whatever ends an
 *    attempt in its middle, the next start is of what ran before.
 * 2. The active slot is never written; there is a `previous` whenever there was a commit.
 * 3. A program put in the place of the base (by hand, a new image) is what runs; back with the one
 *    from before is what ran with that.
 * 4. Every attempt ends in the history with an outcome, and with a reason when it is no commit.
 *
 *   begun → [phases] → trial → commit; from each: failed, interrupted, and from the trial reverted
 */
import { historyMax, startsMax } from "./limits.ts";

export const places = ["base", "a", "b"] as const;
export type Place = (typeof places)[number];
export type SlotName = Exclude<Place, "base">;

/** The program in a slot, whole and verified. */
export interface Slot {
  readonly version: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Unix ms. */
  readonly installedAt: number;
}

/** How far an attempt came, in order; an operating system has phases of its own. */
export type Phase =
  | "checking"
  | "downloading"
  | "verifying"
  | "proving"
  | "handing over"
  | "trial"
  | "going back"
  | "writing"
  | "arming"
  | "booting"
  | "gate"
  | "done";

export type Outcome = "under way" | "committed" | "reverted" | "failed" | "interrupted";

/** One try, from its beginning to what became of it. */
export interface Attempt {
  readonly id: string;
  readonly kind: "binary" | "os" | "rollback";
  readonly from: string;
  readonly to: string;
  /** Unix ms of its beginning and its end. */
  readonly at: number;
  readonly endedAt: number | null;
  readonly outcome: Outcome;
  readonly phase: Phase;
  /** Unix ms at which each phase began. */
  readonly phases: readonly { readonly phase: Phase; readonly at: number }[];
  /** Why it was not committed, one sentence. */
  readonly reason: string | null;
  /** The last lines that the new program said. */
  readonly lastLines: readonly string[];
}

/** A base that another one has taken the place of, and the program that ran then. */
interface Displaced {
  readonly base: Slots["base"];
  readonly active: Place;
  readonly previous: Place | null;
  readonly version: string | null;
}

export interface Slots {
  readonly format: 1;
  /** The base as it was when it last started. */
  readonly base: { readonly version: string; readonly sizeBytes: number };
  readonly active: Place;
  /** Where a rollback goes. */
  readonly previous: Place | null;
  readonly a: Slot | null;
  readonly b: Slot | null;
  /** What ran when another base was put in place: it runs again with the base it ran with. */
  readonly displaced: Displaced | null;
  /** The attempt that is under way. */
  readonly attempt: string | null;
  /** Starts of the active slot in this boot of the machine that have not come to rest. */
  readonly starts: { readonly bootId: string; readonly count: number };
  /** Versions that failed, each with why. */
  readonly blocked: Readonly<Record<string, string>>;
  readonly history: readonly Attempt[];
}

/** A machine that was never upgraded. */
export const freshSlots = (base: Slots["base"]): Slots => ({
  format: 1,
  base,
  active: "base",
  previous: null,
  a: null,
  b: null,
  displaced: null,
  attempt: null,
  starts: { bootId: "", count: 0 },
  blocked: {},
  history: [],
});

/** The version in a place; null: it is empty. */
export function versionIn(state: Slots, place: Place): string | null {
  return place === "base" ? state.base.version : (state[place]?.version ?? null);
}

/** The slot that an upgrade may write. */
export const idleSlot = (state: Slots): SlotName => {
  const kept = [state.active, state.previous];
  return kept.includes("a") && (!kept.includes("b") || state.active === "a") ? "b" : "a";
};

/** The attempt under way, or null. */
export const underWay = (state: Slots): Attempt | null =>
  state.history.find(({ id }) => id === state.attempt) ?? null;

const change = (state: Slots, id: string, by: (attempt: Attempt) => Attempt): Slots => ({
  ...state,
  history: state.history.map((attempt) => (attempt.id === id ? by(attempt) : attempt)),
});

/** An attempt begins; there is none under way. */
export function begin(
  state: Slots,
  { id, kind, to, at }: Pick<Attempt, "id" | "kind" | "to" | "at">,
): Slots {
  const from = versionIn(state, state.active) ?? state.base.version;
  const phase: Phase = kind === "rollback" ? "proving" : "checking";
  const attempt: Attempt = {
    ...{ id, kind, from, to, at, phase },
    endedAt: null,
    outcome: "under way",
    phases: [{ phase, at }],
    reason: null,
    lastLines: [],
  };
  return { ...state, attempt: id, history: [attempt, ...state.history].slice(0, historyMax) };
}

/** The attempt goes on to a phase. */
export function enter(state: Slots, phase: Phase, at: number): Slots {
  return state.attempt === null
    ? state
    : change(state, state.attempt, (attempt) => ({
        ...attempt,
        phase,
        phases: [...attempt.phases, { phase, at }],
      }));
}

/** What is known of an attempt only on the way: the version it goes to. */
export function aim(state: Slots, to: string): Slots {
  return state.attempt === null ? state : change(state, state.attempt, (a) => ({ ...a, to }));
}

/** A slot is about to be written: what was in it is gone. */
export const empty = (state: Slots, slot: SlotName): Slots => ({
  ...state,
  [slot]: null,
  previous: state.previous === slot ? null : state.previous,
});

/** A slot was written, read back and verified. */
export const fill = (state: Slots, slot: SlotName, what: Slot): Slots => ({
  ...state,
  [slot]: what,
});

/** What ends an attempt. */
export interface End {
  readonly at: number;
  readonly reason: string;
  readonly lastLines?: readonly string[];
  /** Keeps the version from being tried again by itself. */
  readonly block: boolean;
}

/** The attempt ended without a commit; the active place is what it was. */
export function fail(state: Slots, outcome: Exclude<Outcome, "committed">, end: End): Slots {
  const { attempt: id } = state;
  if (id === null) return state;
  const { at, reason, lastLines = [], block } = end;
  const ended = { outcome, reason, lastLines, endedAt: at };
  const next = change({ ...state, attempt: null }, id, (attempt) => ({ ...attempt, ...ended }));
  const to = state.history.find((attempt) => attempt.id === id)?.to;
  if (!block || to === undefined) return next;
  return { ...next, blocked: { ...next.blocked, [to]: reason } };
}

/** The place is what runs from now on, and after every start. */
export function commit(state: Slots, place: Place, at: number): Slots {
  const { [versionIn(state, place) ?? ""]: _, ...blocked } = state.blocked;
  const moved: Slots = {
    ...enter(state, "done", at),
    active: place,
    previous: state.active,
    attempt: null,
    starts: { ...state.starts, count: 0 },
    blocked,
  };
  if (state.attempt === null) return moved;
  return change(moved, state.attempt, (attempt) => ({
    ...attempt,
    outcome: "committed",
    endedAt: at,
  }));
}

/** The active program failed after its commit: what was before it is what runs. */
export function withdraw(state: Slots, end: End): Slots {
  const { active } = state;
  const previous = state.previous ?? "base";
  const version = versionIn(state, active) ?? state.history[0]?.to ?? "";
  const kept = state.history.find(({ outcome }) => outcome === "committed");
  const history = state.history.map((attempt) =>
    attempt === kept && attempt.to === version ? revertedOf(attempt, end) : attempt,
  );
  const starts = { ...state.starts, count: 0 };
  const blocked = end.block ? { ...state.blocked, [version]: end.reason } : state.blocked;
  return { ...state, active: previous, previous: null, starts, blocked, history };
}

const revertedOf = (attempt: Attempt, { at, reason, lastLines = [] }: End): Attempt => ({
  ...attempt,
  outcome: "reverted",
  endedAt: at,
  reason,
  lastLines,
});

/** It has run long enough to be believed. */
export const rest = (state: Slots): Slots => ({ ...state, starts: { ...state.starts, count: 0 } });

/** A start of the base, which hands over to the active place unless that place fails. */
export interface Start {
  readonly at: number;
  readonly base: Slots["base"];
  /** This boot of the machine: a power cut is no fault of a program. */
  readonly bootId: string;
}

/** Ends what was under way when whoever had it in hand was gone. */
export function cutOff(state: Slots, who: "the machine" | "the kernel", at: number): Slots {
  const attempt = underWay(state);
  // What an operating system has under way is for its own gate to end.
  if (attempt === null || attempt.kind === "os") return state;
  const { phase } = attempt;
  const wasServing = ["handing over", "trial", "going back"].includes(phase);
  const reason = `${who} stopped in the middle of it (${phase})`;
  return fail(state, wasServing ? "reverted" : "interrupted", { at, reason, block: false });
}

/** What the base does when it starts. `start` is the place to run. */
export function starting(state: Slots, { at, base, bootId }: Start): Slots & { start: Place } {
  const settled = cutOff(state, "the machine", at);
  if (!isSame(settled.base, base)) {
    const back = restored(settled, base);
    if (back === null) return { ...displacedBy(settled, base), start: "base" };
    return starting(back, { at, base, bootId });
  }
  if (settled.active === "base") return { ...settled, start: "base" };
  if (settled[settled.active] === null) {
    const gone = { at, reason: "its program is gone", block: false };
    return begunAgain(withdraw(settled, gone), bootId);
  }
  const count = settled.starts.bootId === bootId ? settled.starts.count : 0;
  if (count < startsMax) return begunAgain({ ...settled, starts: { bootId, count } }, bootId);
  const why = `it ended ${count} times soon after it had started`;
  return begunAgain(withdraw(settled, { at, reason: why, block: true }), bootId);
}

const isSame = (a: Slots["base"], b: Slots["base"]): boolean =>
  a.version === b.version && a.sizeBytes === b.sizeBytes;

/** Another base is what runs; what ran before can be gone back to. */
function displacedBy(state: Slots, base: Slots["base"]): Slots {
  const { active, previous } = state;
  const displaced = { base: state.base, active, previous, version: versionIn(state, active) };
  return {
    ...{ ...state, base, displaced, active: "base" },
    previous: active === "base" ? previous : active,
  };
}

/** The base from before is back, as when an operating system was: so is what ran with it. */
function restored(state: Slots, base: Slots["base"]): Slots | null {
  const { displaced } = state;
  // A file that an earlier program wrote has none.
  if (displaced == null || !isSame(displaced.base, base)) return null;
  const { active, previous, version } = displaced;
  const next = { ...state, base, active, previous, displaced: null };
  return versionIn(next, active) === version ? next : null;
}

function begunAgain(state: Slots, bootId: string): Slots & { start: Place } {
  const count = state.active === "base" ? 0 : state.starts.count + 1;
  return { ...state, starts: { bootId, count }, start: state.active };
}
