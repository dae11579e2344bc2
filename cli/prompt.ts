/**
 * The shell's prompt: the line being typed, the history behind it, and the search through it.
 *
 * A pure state machine: `pressed` takes a key and answers the next state and what is asked of the
 * shell; `promptView` says what stands on the screen. The shell reads keys and draws.
 */
import { type Edit, edited, editOf, emptyEdit } from "./edit.ts";
import type { Key } from "./key.ts";

/** A search backwards through the history (Ctrl-R). */
interface Search {
  readonly query: string;
  /** Which line of the history is shown; -1: none holds the query. */
  readonly found: number;
  /** The line before the search, for Escape. */
  readonly before: Edit;
}

export interface Prompt {
  readonly edit: Edit;
  /** Newest first. */
  readonly history: readonly string[];
  /** Which line of the history is being changed; -1: a new one. */
  readonly place: number;
  /** The new line, while an older one is shown. */
  readonly draft: Edit;
  readonly search: Search | null;
}

/** What a key asks of the shell. */
export type Asked = "line" | "interrupt" | "end" | "complete" | "clear" | null;

export interface Pressed {
  readonly prompt: Prompt;
  readonly asked: Asked;
}

/** An empty line before this history. */
export function newPrompt(history: readonly string[]): Prompt {
  return { edit: emptyEdit, history, place: -1, draft: emptyEdit, search: null };
}

function toPlace(prompt: Prompt, place: number): Prompt {
  if (place < -1 || place >= prompt.history.length) return prompt;
  const draft = prompt.place === -1 ? prompt.edit : prompt.draft;
  const edit = place === -1 ? draft : editOf(prompt.history[place] ?? "");
  return { ...prompt, place, draft, edit };
}

function searched(prompt: Prompt, query: string, from: number): Prompt {
  const before = prompt.search?.before ?? prompt.edit;
  const found =
    query === "" ? -1 : prompt.history.findIndex((line, i) => i >= from && line.includes(query));
  const edit = found < 0 ? prompt.edit : editOf(prompt.history[found] ?? "");
  return { ...prompt, edit, search: { query, found, before } };
}

/** A key during the search; null when it ends the search and means what it always means. */
function inSearch(prompt: Prompt, search: Search, key: Key): Prompt | null {
  const { query, found, before } = search;
  if (key.kind === "text") return searched(prompt, query + key.text, Math.max(0, found));
  if (key.kind !== "name") return prompt;
  if (key.name === "ctrl-r") {
    const next = searched(prompt, query, found + 1);
    return next.search?.found === -1 ? prompt : next;
  }
  if (key.name === "backspace") return searched(prompt, query.slice(0, -1), 0);
  if (key.name === "escape" || key.name === "ctrl-g" || key.name === "ctrl-c") {
    return { ...prompt, edit: before, search: null };
  }
  return null;
}

const askedBy: Readonly<Record<string, Asked>> = {
  enter: "line",
  "ctrl-c": "interrupt",
  tab: "complete",
  "ctrl-l": "clear",
};

/** What a key does. */
export function pressed(prompt: Prompt, key: Key): Pressed {
  if (prompt.search !== null) {
    const next = inSearch(prompt, prompt.search, key);
    if (next !== null) return { prompt: next, asked: null };
    return pressed({ ...prompt, search: null }, key);
  }
  const name = key.kind === "name" ? key.name : "";
  if (name === "ctrl-r") return { prompt: searched(prompt, "", 0), asked: null };
  if (name === "up" || name === "ctrl-p") {
    return { prompt: toPlace(prompt, prompt.place + 1), asked: null };
  }
  if (name === "down" || name === "ctrl-n") {
    return { prompt: toPlace(prompt, prompt.place - 1), asked: null };
  }
  if (name === "ctrl-d") {
    if (prompt.edit.text === "") return { prompt, asked: "end" };
    return pressed(prompt, { kind: "name", name: "delete" });
  }
  const asked = askedBy[name] ?? null;
  if (asked !== null) return { prompt, asked };
  return { prompt: { ...prompt, edit: edited(prompt.edit, key) ?? prompt.edit }, asked: null };
}

/** What completion found for the end of a line up to the cursor. */
export interface Completed {
  readonly words: readonly string[];
  /** The text they stand in place of. */
  readonly last: string;
}

function commonStart(words: readonly string[]): string {
  const [first = ""] = words;
  let length = first.length;
  for (const word of words) while (!word.startsWith(first.slice(0, length))) length--;
  return first.slice(0, length);
}

/** The line with what is certain filled in, and the words to choose from when that was nothing. */
export function completedWith(
  prompt: Prompt,
  { words, last }: Completed,
): { readonly prompt: Prompt; readonly choices: readonly string[] } {
  const start = commonStart(words);
  if (words.length === 0 || !start.startsWith(last)) return { prompt, choices: [] };
  if (start === last) return { prompt, choices: words };
  const { text, at } = prompt.edit;
  const added = start.slice(last.length);
  const edit = { text: text.slice(0, at) + added + text.slice(at), at: at + added.length };
  return { prompt: { ...prompt, edit }, choices: [] };
}

/** What stands before the line: the shell's own prompt, or the search. */
export function promptLabel({ search }: Prompt, usual: string): string {
  if (search === null) return usual;
  return `(search${search.found < 0 && search.query !== "" ? ", not found" : ""}) ${search.query}: `;
}
