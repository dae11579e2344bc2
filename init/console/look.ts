/**
 * How the console draws: what the terminal can do, styles, and the frame of every screen. Pure.
 *
 * A picture is a list of lines, none wider than the terminal and no more than it has rows; the last
 * row says which keys do something.
 */

export interface Look {
  readonly columns: number;
  readonly rows: number;
  readonly color: boolean;
  /** Whether it understands UTF-8; else nothing but ASCII is sent. */
  readonly unicode: boolean;
  /** Whether the cursor can be moved; else lines are only ever added. */
  readonly moves: boolean;
}

/** A picture, and where the cursor stands in it (from 0); null: nowhere. */
export interface Picture {
  /** Which screen it is of: another one is shown whole, also where lines are only added. */
  readonly of?: string;
  readonly lines: readonly string[];
  readonly cursor: { readonly row: number; readonly column: number } | null;
}

export type Style = "bold" | "dim" | "good" | "warn" | "bad" | "chosen" | "accent";

const codes: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  good: [32, 39],
  warn: [33, 39],
  bad: [31, 39],
  chosen: [7, 27],
  accent: [36, 39],
};

/** Text in a style; plain where the terminal has none. */
export function styled(look: Look, style: Style, text: string): string {
  if (!look.moves || text === "") return text;
  if (!look.color && !["bold", "chosen"].includes(style)) return text;
  const [on, off] = codes[style];
  return `\x1b[${on}m${text}\x1b[${off}m`;
}

/** A sign, or what stands for it where there is only ASCII. */
export function sign(look: Look, unicode: string, ascii: string): string {
  return look.unicode ? unicode : ascii;
}

/** Text that this terminal takes: without control characters, ASCII where it has no more. */
export function plain(look: Look, text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  const shown = text.replace(/[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, " ");
  return look.unicode ? shown : shown.replace(/[^\x20-\x7e]/g, "?");
}

/** A line of at most `width` columns. */
export function cut(look: Look, line: string, width: number): string {
  if (Bun.stringWidth(line) <= width) return line;
  const dots = sign(look, "…", "~");
  return `${Bun.sliceAnsi(line, 0, Math.max(0, width - 1))}${dots}`;
}

/** A line filled with spaces to `width` columns. */
export function padded(line: string, width: number): string {
  return line + " ".repeat(Math.max(0, width - Bun.stringWidth(line)));
}

/** Words in lines of at most `width` columns. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && Bun.stringWidth(`${line} ${word}`) > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}

export interface Frame {
  /** Upper left: what this is. */
  readonly title: string;
  /** Upper right: the state in a word or two. */
  readonly state: string;
  readonly body: readonly string[];
  /** Where the cursor stands in the body. */
  readonly cursor?: Picture["cursor"];
  /** The keys, each with what it does. */
  readonly keys: readonly (readonly [key: string, does: string])[];
}

/** Rows that a frame takes for itself: title, rule, keys. */
export const frameRows = 3;

/** The columns of a body: one is left free at each side. */
export const bodyColumns = (look: Look): number => look.columns - 2;

/** A whole screen. */
export function framed(look: Look, { title, state, body, cursor, keys }: Frame): Picture {
  const width = bodyColumns(look);
  const room = Math.max(0, width - Bun.stringWidth(state) - 1);
  const head = padded(styled(look, "bold", cut(look, title, room)), room + 1) + state;
  const rule = styled(look, "dim", sign(look, "─", "-").repeat(width));
  const shown = body.slice(0, look.rows - frameRows);
  const blank = Array<string>(look.rows - frameRows - shown.length).fill("");
  const hints = keys.map(([key, does]) => `${styled(look, "bold", key)} ${does}`).join("   ");
  const lines = [head, rule, ...shown, ...blank, hints].map((line) =>
    line === "" ? "" : ` ${cut(look, line, width)}`,
  );
  if (!cursor || cursor.row >= shown.length) return { lines, cursor: null };
  return { lines, cursor: { row: cursor.row + 2, column: Math.min(cursor.column, width) + 1 } };
}
