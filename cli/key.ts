/**
 * Keys, from the bytes a terminal in raw mode sends (ECMA-48, xterm's control sequences). Pure.
 *
 * A sequence may come in pieces: what is not whole yet is handed back and put before the next piece.
 * A lone ESC is the Escape key only once nothing has followed it: the caller's clock decides that.
 */

/** One key, or the terminal's answer to where the cursor is. */
export type Key =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "name"; readonly name: KeyName }
  | { readonly kind: "cursor"; readonly row: number; readonly column: number };

export type KeyName =
  | "enter"
  | "tab"
  | "back-tab"
  | "backspace"
  | "delete"
  | "left"
  | "right"
  | "up"
  | "down"
  | "home"
  | "end"
  | "page-up"
  | "page-down"
  | "word-left"
  | "word-right"
  | "escape"
  | `ctrl-${string}`
  | "unknown";

const finals: Readonly<Record<string, KeyName>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  H: "home",
  F: "end",
  Z: "back-tab",
};

const tildes: Readonly<Record<string, KeyName>> = {
  "1": "home",
  "3": "delete",
  "4": "end",
  "5": "page-up",
  "6": "page-down",
  "7": "home",
  "8": "end",
};

const wordwise: Readonly<Record<string, KeyName>> = { left: "word-left", right: "word-right" };

/** What a whole control sequence means: `ESC [ parameters final`. */
function sequence(parameters: string, final: string): Key {
  const [first = "", second = ""] = parameters.split(";");
  if (final === "R" && second !== "") {
    return { kind: "cursor", row: Number(first), column: Number(second) };
  }
  const name = final === "~" ? tildes[first] : finals[final];
  const modified = second !== "" ? wordwise[name ?? ""] : undefined;
  return { kind: "name", name: modified ?? name ?? "unknown" };
}

const metas: Readonly<Record<string, KeyName>> = {
  b: "word-left",
  f: "word-right",
  "\x7f": "ctrl-w",
};

function control(sign: string): Key {
  const code = sign.charCodeAt(0);
  if (sign === "\r" || sign === "\n") return { kind: "name", name: "enter" };
  if (sign === "\t") return { kind: "name", name: "tab" };
  if (code === 0x7f || code === 0x08) return { kind: "name", name: "backspace" };
  return { kind: "name", name: `ctrl-${String.fromCharCode(code + 0x60)}` };
}

interface Taken {
  readonly key: Key;
  readonly length: number;
}

/** The key that an ESC begins, or null while it is not whole. */
function escaped(text: string): Taken | null {
  const second = text[1];
  if (second === undefined) return null;
  if (second === "O") {
    const final = text[2];
    return final === undefined ? null : { key: sequence("", final), length: 3 };
  }
  if (second === "[") {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what terminals send
    const found = /^\x1b\[([0-9;?]*)[ -/]*([@-~])/.exec(text);
    if (found === null) return text.length < 24 ? null : { key: unknown, length: 2 };
    return { key: sequence(found[1] ?? "", found[2] ?? ""), length: found[0].length };
  }
  const name = metas[second];
  if (name !== undefined) return { key: { kind: "name", name }, length: 2 };
  return { key: { kind: "name", name: "escape" }, length: 1 };
}

const unknown: Key = { kind: "name", name: "unknown" };

/** The keys in a text, and what of it is not whole yet. */
export function readKeys(text: string): { readonly keys: readonly Key[]; readonly rest: string } {
  const keys: Key[] = [];
  let at = 0;
  while (at < text.length) {
    const sign = text[at] ?? "";
    if (sign === "\x1b") {
      const taken = escaped(text.slice(at));
      if (taken === null) return { keys, rest: text.slice(at) };
      keys.push(taken.key);
      at += taken.length;
    } else if (sign < " " || sign === "\x7f") {
      // A line end of two signs is one Enter.
      if (sign === "\r" && text[at + 1] === "\n") at++;
      keys.push(control(sign));
      at++;
    } else {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: text ends where control begins
      const run = /^[^\x00-\x1f\x7f]+/.exec(text.slice(at))?.[0] ?? sign;
      keys.push({ kind: "text", text: run });
      at += run.length;
    }
  }
  return { keys, rest: "" };
}
