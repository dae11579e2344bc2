/**
 * A line being typed: its text and where the cursor is, and what each key makes of it. Pure; used
 * by the shell's prompt and by the fields of the console.
 */
import type { Key } from "./key.ts";

export interface Edit {
  readonly text: string;
  /** Where the cursor is, in code units; always between two characters as people see them. */
  readonly at: number;
}

export const emptyEdit: Edit = { text: "", at: 0 };

/** A line with the cursor at its end. */
export const editOf = (text: string): Edit => ({ text, at: text.length });

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The length of the last character of a text, in code units. */
function lastLength(text: string): number {
  let last = "";
  // A character is never longer than this; the whole line need not be looked at.
  for (const { segment } of segmenter.segment(text.slice(-64))) last = segment;
  return last.length;
}

function firstLength(text: string): number {
  for (const { segment } of segmenter.segment(text.slice(0, 64))) return segment.length;
  return 0;
}

const wordStart = (text: string): number => /\S+\s*$/.exec(text)?.index ?? 0;
const wordEnd = (text: string): number => /^\s*\S+/.exec(text)?.[0].length ?? text.length;

type Change = (before: string, after: string) => Edit;

const joined = (before: string, after: string): Edit => ({
  text: before + after,
  at: before.length,
});

const changes: Readonly<Record<string, Change>> = {
  backspace: (a, b) => joined(a.slice(0, a.length - lastLength(a)), b),
  delete: (a, b) => joined(a, b.slice(firstLength(b))),
  left: (a, b) => ({ text: a + b, at: a.length - lastLength(a) }),
  right: (a, b) => ({ text: a + b, at: a.length + firstLength(b) }),
  home: (a, b) => ({ text: a + b, at: 0 }),
  end: (a, b) => editOf(a + b),
  "word-left": (a, b) => ({ text: a + b, at: wordStart(a) }),
  "word-right": (a, b) => ({ text: a + b, at: a.length + wordEnd(b) }),
  "ctrl-u": (_, b) => joined("", b),
  "ctrl-k": (a) => joined(a, ""),
  "ctrl-w": (a, b) => joined(a.slice(0, wordStart(a)), b),
};

const same: Readonly<Record<string, string>> = {
  "ctrl-a": "home",
  "ctrl-e": "end",
  "ctrl-b": "left",
  "ctrl-f": "right",
};

/** The line after a key, or null when the key does not edit. */
export function edited({ text, at }: Edit, key: Key): Edit | null {
  const [before, after] = [text.slice(0, at), text.slice(at)];
  if (key.kind === "text") return joined(before + key.text, after);
  if (key.kind !== "name") return null;
  const change = changes[same[key.name] ?? key.name];
  return change === undefined ? null : change(before, after);
}
