/**
 * A stream of rows that come round again and again (`proc top`), shown in place: the newest round as
 * a table over the one before, until q or Ctrl-C; without a screen, one table after the other.
 */

import type { JsonSchema } from "../kernel/syscall/mod.ts";
import type { Key } from "./key.ts";
import type { Keyboard } from "./keyboard.ts";
import { type Look, valueText } from "./render.ts";

type Row = Readonly<Record<string, unknown>>;

/** A round is over when no row has come for so long, in ms: rows of one come together. */
const roundMs = 40;

/** The picture of a round: from the top of the screen, no taller than it. Pure. */
export function roundText(
  rows: readonly Row[],
  schema: JsonSchema,
  { rows: height, ...look }: Look & { readonly rows: number },
): string {
  const table = rows.length === 0 ? ["nothing to show yet"] : roundLines(rows, schema, look);
  const lines = [...table.slice(0, height - 3), "", "q ends"];
  return `\x1b[H${lines.map((line) => `${line}\x1b[K\r\n`).join("")}\x1b[J`;
}

/** The same without a screen: the table of a round, and nothing before the first. Pure. */
export function roundLines(rows: readonly Row[], schema: JsonSchema, look: Look): string[] {
  const shown = rows.map(({ at: _, ...rest }) => rest);
  return shown.length === 0 ? [] : valueText(shown, listOf(schema), look);
}

const listOf = (items: JsonSchema): JsonSchema => ({ type: "array", items });

/** Shows round after round. */
export async function showRounds(
  lines: AsyncIterable<unknown>,
  show: (rows: readonly Row[]) => Promise<void>,
): Promise<void> {
  let round: Row[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  // Nobody may look any more: told to who waits for the next line, not to the process.
  let shown: Promise<unknown> = show([]);
  const end = () => {
    const rows = round;
    round = [];
    shown = shown.then(() => show(rows));
    shown.catch(() => undefined);
  };
  try {
    await shown;
    for await (const line of lines) {
      await shown;
      round.push(line as Row);
      clearTimeout(timer);
      timer = setTimeout(end, roundMs);
    }
    clearTimeout(timer);
    if (round.length > 0) end();
    await shown;
  } finally {
    clearTimeout(timer);
  }
}

const ends = (key: Key): boolean =>
  key.kind === "text" ? key.text.startsWith("q") : key.kind === "name" && key.name === "escape";

/**
 * Runs `show` until it is over or somebody presses q or Escape, which its signal tells and which is
 * no failure. Ctrl-C, a key like any other meanwhile, is what it is everywhere: an interrupt.
 */
export async function untilQuit(
  keyboard: Keyboard,
  show: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const quit = new AbortController();
  const attend = async (): Promise<void> => {
    for (let key = await keyboard.read(null); key !== null; key = await keyboard.read(null)) {
      if (ends(key)) return quit.abort();
      if (key.kind !== "name" || key.name !== "ctrl-c") continue;
      keyboard.close();
      process.kill(process.pid, "SIGINT");
      return;
    }
  };
  keyboard.open();
  void attend();
  try {
    await show(quit.signal);
  } catch (error) {
    if (!quit.signal.aborted) throw error;
  } finally {
    keyboard.close();
  }
}
