/**
 * The console as a state machine. Pure: an event in, the next state and what is to be done out.
 *
 *   starting → welcome (nobody's machine) → claim → idle
 *   idle → login → shell → idle               any → trouble, while the machine cannot come up
 *   recovery (asked for in the boot menu) → recover, reset, or on to the above
 *
 * Invariants
 * 1. Nothing is done on a claimed machine before a login, recovery asked for at boot apart: whoever
 *    stands at the boot menu has the machine in their hands.
 * 2. A dialogue nobody types into is left, and what was typed is forgotten.
 * 3. One thing is done at a time; a key pressed meanwhile does nothing.
 */
import type { Key } from "../../cli/key.ts";
import type { Trouble } from "../trouble.ts";
import type { Facts } from "./facts.ts";
import { type Form, type FormKind, newForm, pressedIn, refused, valuesOf } from "./form.ts";

export type Screen =
  | { readonly name: "starting" | "welcome" | "idle" | "shell" }
  | { readonly name: "code" }
  | { readonly name: "form"; readonly form: Form }
  | { readonly name: "menu"; readonly kind: "recovery" | "trouble"; readonly at: number }
  | { readonly name: "notice"; readonly title: string; readonly lines: readonly string[] }
  | { readonly name: "ending"; readonly words: string };

export interface State {
  readonly screen: Screen;
  /** Null while no kernel has answered, or none does any more. */
  readonly facts: Facts | null;
  readonly trouble: Trouble | null;
  /** Whether the boot menu asked for recovery, and it has not been left. */
  readonly recovery: boolean;
  /** Unix ms: now, when a key was pressed last, since when no kernel answers. */
  readonly now: number;
  readonly keyAt: number;
  readonly silentSince: number;
}

export type Event =
  | { readonly kind: "key"; readonly key: Key }
  | { readonly kind: "facts"; readonly facts: Facts | null; readonly trouble: Trouble | null }
  | { readonly kind: "tick"; readonly now: number }
  | { readonly kind: "done"; readonly words: string | null }
  | { readonly kind: "refused"; readonly words: string };

export type Action =
  | { readonly kind: "send"; readonly form: FormKind; readonly values: Values }
  | { readonly kind: "shell"; readonly recoveredAt: number | null }
  | { readonly kind: "retry" | "restart" | "poweroff" | "redraw" };

type Values = Readonly<Record<string, string>>;

export interface Step {
  readonly state: State;
  readonly actions: readonly Action[];
}

/** A dialogue or the QR code is left after so long without a key. */
const patienceMs = 3 * 60_000;

/** The console as it begins. */
export function firstState(now: number, recovery: boolean): State {
  const screen: Screen = { name: "starting" };
  return { screen, facts: null, trouble: null, recovery, now, keyAt: now, silentSince: now };
}

/** The screen when nothing is being done. */
function homeOf({
  facts,
  trouble,
  recovery,
}: Pick<State, "facts" | "trouble" | "recovery">): Screen {
  if (facts === null) {
    return trouble === null ? { name: "starting" } : { name: "menu", kind: "trouble", at: 0 };
  }
  if (recovery) return { name: "menu", kind: "recovery", at: 0 };
  return { name: facts.claimed ? "idle" : "welcome" };
}

/** What can be chosen from a menu, in order. */
export type Choice = "recover" | "restore" | "retry" | "reset" | "restart" | "poweroff" | "go-on";

/** The entries of the menu that is shown. */
export function choicesOf(kind: "recovery" | "trouble", facts: Facts | null): readonly Choice[] {
  if (kind === "trouble") return ["retry", "restore", "reset", "restart", "poweroff"];
  const claimed = facts?.claimed === true;
  return claimed
    ? ["recover", "restore", "reset", "restart", "poweroff", "go-on"]
    : ["restore", "restart", "poweroff", "go-on"];
}

const stay = (state: State): Step => ({ state, actions: [] });
const show = (state: State, screen: Screen): Step => stay({ ...state, screen });
const home = (state: State): Step => show(state, homeOf(state));
const ask = (state: State, kind: FormKind): Step =>
  show(state, { name: "form", form: newForm(kind) });
const act = (state: State, screen: Screen, action: Action): Step => ({
  state: { ...state, screen },
  actions: [action],
});

/** The letter typed, in lower case, or the key's name. */
function nameOf(key: Key): string {
  if (key.kind === "text") return key.text.toLowerCase();
  return key.kind === "name" ? key.name : "";
}

function chosen(state: State, choice: Choice): Step {
  const ending = (words: string): Screen => ({ name: "ending", words });
  if (choice === "recover" || choice === "restore" || choice === "reset") return ask(state, choice);
  if (choice === "go-on") return home({ ...state, recovery: false });
  if (choice === "retry") return act(state, ending("Trying again"), { kind: "retry" });
  if (choice === "restart") return act(state, ending("Restarting"), { kind: "restart" });
  return act(state, ending("Switching off"), { kind: "poweroff" });
}

type Menu = Extract<Screen, { name: "menu" }>;

function inMenu(state: State, screen: Menu, key: Key): Step {
  const choices = choicesOf(screen.kind, state.facts);
  const name = nameOf(key);
  const digit = /^[1-9]$/.test(name) ? choices[Number(name) - 1] : undefined;
  if (digit !== undefined) return chosen(state, digit);
  const steps: Readonly<Record<string, number>> = { up: -1, down: 1, "back-tab": -1, tab: 1 };
  const step = steps[name];
  if (step !== undefined) {
    const at = (screen.at + step + choices.length) % choices.length;
    return show(state, { ...screen, at });
  }
  const choice = choices[screen.at];
  return name === "enter" && choice !== undefined ? chosen(state, choice) : stay(state);
}

const busyWords: Readonly<Record<FormKind, string>> = {
  claim: "Making it yours",
  login: "Checking",
  recover: "Replacing the password",
  restore: "Restoring; this takes as long as the download",
  reset: "Erasing",
};

function inForm(state: State, form: Form, key: Key): Step {
  const next = pressedIn(form, key);
  if (next.asked === "cancel") return home(state);
  if (next.asked === null) return show(state, { name: "form", form: next.form });
  const busy = { ...next.form, busy: busyWords[form.kind] };
  const action = { kind: "send", form: form.kind, values: valuesOf(form) } as const;
  return act(state, { name: "form", form: busy }, action);
}

function pressed(state: State, key: Key): Step {
  const { screen } = state;
  const name = nameOf(key);
  if (name === "ctrl-l") return { state, actions: [{ kind: "redraw" }] };
  switch (screen.name) {
    case "form":
      return inForm(state, screen.form, key);
    case "menu":
      return inMenu(state, screen, key);
    case "notice":
    case "code":
      return home(state);
    case "welcome":
      if (name === "q") return show(state, { name: "code" });
      if (name === "r") return ask(state, "restore");
      return name === "enter" ? ask(state, "claim") : stay(state);
    case "idle":
      return name === "enter" ? ask(state, "login") : stay(state);
    default:
      return stay(state);
  }
}

/** What the screens that stand for themselves become when the machine has changed under them. */
function noticed(state: State): Step {
  const { screen, facts } = state;
  if (screen.name === "form" && screen.form.kind === "claim" && facts?.claimed === true) {
    // Somebody was quicker, through the wizard: nothing is left to type here.
    if (screen.form.busy === null) return home(state);
  }
  if (["starting", "welcome", "idle", "code"].includes(screen.name)) {
    const next = homeOf(state);
    return screen.name === "code" && next.name === "welcome" ? stay(state) : show(state, next);
  }
  if (screen.name === "menu" && screen.kind === "trouble" && state.facts !== null) {
    return home(state);
  }
  return stay(state);
}

function timed(state: State): Step {
  const { screen, now, keyAt } = state;
  const waits = screen.name === "code" || (screen.name === "form" && screen.form.busy === null);
  if (waits && now - keyAt > patienceMs) return home(state);
  return stay(state);
}

type Done = Extract<Event, { kind: "done" }>;

function done(state: State, { words }: Done): Step {
  const { screen, facts } = state;
  if (screen.name === "form" && screen.form.kind === "login") {
    const recoveredAt = facts?.recoveredAt ?? null;
    return act(state, { name: "shell" }, { kind: "shell", recoveredAt });
  }
  if (screen.name === "form" && screen.form.kind === "recover") {
    const lines = [words ?? "The root password is replaced."];
    return show({ ...state, recovery: false }, { name: "notice", title: "Done", lines });
  }
  if (words === null) return home(state);
  return show(state, { name: "notice", title: "Done", lines: words.split("\n") });
}

function refusal(state: State, words: string): Step {
  const { screen } = state;
  if (screen.name === "form") {
    return show(state, { name: "form", form: refused(screen.form, words) });
  }
  return show(state, { name: "notice", title: "This did not work", lines: words.split("\n") });
}

/** Text may come many signs at a time, and each is a key of its own. */
function typed(state: State, key: Key): Step {
  const signs = key.kind === "text" ? [...key.text].map((text) => ({ ...key, text })) : [key];
  const actions: Action[] = [];
  let now = state;
  for (const one of signs) {
    const next = pressed(now, one);
    now = next.state;
    actions.push(...next.actions);
  }
  return { state: now, actions };
}

/** The next state. */
export function step(state: State, event: Event): Step {
  switch (event.kind) {
    case "key":
      return typed({ ...state, keyAt: state.now }, event.key);
    case "facts": {
      const silentSince = event.facts === null ? state.silentSince : state.now;
      return noticed({ ...state, facts: event.facts, trouble: event.trouble, silentSince });
    }
    case "tick":
      return timed({ ...state, now: event.now });
    case "done":
      return done(state, event);
    case "refused":
      return refusal(state, event.words);
  }
}
