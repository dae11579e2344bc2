/**
 * What the terminal is: how large, whether its cursor can be moved, whether it knows UTF-8.
 *
 * A serial line has no size and nobody says what is at its other end, so the terminal is asked:
 * the cursor is sent to the far corner and asked where it is (ECMA-48 CPR), then one sign of three
 * bytes is written and asked again. What does not answer in time is taken for a dumb terminal.
 */
import type { Key } from "../../cli/key.ts";
import type { Keyboard } from "../../cli/keyboard.ts";
import type { Look } from "./look.ts";

/** A terminal at the end of a slow line answers within this, in ms. */
const answerMs = 500;
/** Anything smaller is no answer of a terminal that people read. */
const least = { columns: 20, rows: 6 };
const standard = { columns: 80, rows: 24 };

type Env = Readonly<Record<string, string | undefined>>;

/** What a terminal said of itself; null: nothing. */
export interface Answered {
  readonly corner: { readonly row: number; readonly column: number } | null;
  /** Columns that a sign of three bytes took. */
  readonly signColumns: number | null;
}

/** The questions, to be sent one after the other: the corner, then the sign. */
const askCorner = "\x1b7\x1b[999;999H\x1b[6n\x1b8";
const askSign = "\r\u2580\x1b[6n";

/** How to draw on a terminal that answered so. `known` is the size the kernel keeps. Pure. */
export function lookOf(
  env: Env,
  answered: Answered,
  known: { readonly columns: number; readonly rows: number } | null,
): Look {
  const term = env["TERM"] ?? "";
  const { corner, signColumns } = answered;
  const moves = corner !== null && term !== "dumb";
  const sized = corner === null ? known : { columns: corner.column, rows: corner.row };
  const fits = sized !== null && sized.columns >= least.columns && sized.rows >= least.rows;
  const { columns, rows } = fits ? sized : standard;
  const plain = (env["NO_COLOR"] ?? "") !== "" || /^(|dumb|unknown|vt52|vt1\d\d|vt220)$/.test(term);
  return { columns, rows, color: moves && !plain, unicode: moves && signColumns === 2, moves };
}

async function cursor(keyboard: Keyboard, question: string) {
  process.stdout.write(question);
  const endMs = performance.now() + answerMs;
  const others: Key[] = [];
  for (;;) {
    const left = endMs - performance.now();
    const key = left <= 0 ? null : await keyboard.read(left);
    if (key !== null && key.kind !== "cursor") others.push(key);
    else {
      keyboard.unread(others);
      return key;
    }
  }
}

/** Asks the terminal. Keys pressed meanwhile are kept. */
export async function examine(keyboard: Keyboard, env: Env): Promise<Look> {
  const { columns, rows } = process.stdout;
  const known = columns > 0 && rows > 0 ? { columns, rows } : null;
  if (env["TERM"] === "dumb") return lookOf(env, { corner: null, signColumns: null }, known);
  const corner = await cursor(keyboard, askCorner);
  const sign = corner === null ? null : await cursor(keyboard, askSign);
  return lookOf(env, { corner, signColumns: sign === null ? null : sign.column }, known);
}
