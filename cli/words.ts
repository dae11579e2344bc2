/**
 * A line of the interactive shell as words: spaces part them, quotes and backslashes keep them
 * together, as in sh. Nothing is expanded. Pure.
 */
import { UsageError } from "./usage.ts";

/** What a line holds: its words, and the one that is being typed (empty after a space). */
export interface Line {
  readonly words: readonly string[];
  readonly last: string;
  /** The quote that is still open, or null. */
  readonly open: string | null;
}

/** Reads a line as far as it goes. */
export function readLine(text: string): Line {
  const words: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  for (let i = 0; i < text.length; i++) {
    const sign = text[i] ?? "";
    if (quote !== null) {
      if (sign === quote) quote = null;
      else if (sign === "\\" && quote === '"' && /["\\]/.test(text[i + 1] ?? "")) {
        word = (word ?? "") + (text[++i] ?? "");
      } else word = (word ?? "") + sign;
    } else if (sign === "'" || sign === '"') {
      quote = sign;
      word ??= "";
    } else if (sign === "\\" && i + 1 < text.length) {
      word = (word ?? "") + (text[++i] ?? "");
    } else if (/\s/.test(sign)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + sign;
    }
  }
  return { words, last: word ?? "", open: quote };
}

/** The words of a finished line. UsageError when a quote is open. */
export function splitWords(text: string): string[] {
  const { words, open } = readLine(`${text} `);
  if (open === null) return [...words];
  throw new UsageError(`a quote is not closed: ${open}`);
}
