/**
 * A picture onto the screen, with as little as it takes: only the lines that differ from what stands
 * there. Where the cursor cannot be moved lines are only ever added, and only those that are new.
 * Pure: what was shown in, bytes out.
 */
import type { Look, Picture } from "./look.ts";

/** What stands on the screen; null: nobody knows. */
export type Shown = Picture | null;

const save = "\x1b[?25l";
const show = "\x1b[?25h";
const at = (row: number, column: number) => `\x1b[${row + 1};${column + 1}H`;

/** What to send so that the screen shows `next`. */
function moved(look: Look, shown: Shown, next: Picture): string {
  let out = shown === null ? "\x1b[0m\x1b[2J" : "";
  const rows = Math.max(next.lines.length, shown?.lines.length ?? 0, look.rows);
  for (let row = 0; row < rows; row++) {
    const line = next.lines[row] ?? "";
    const was = shown === null ? "" : shown.lines[row];
    if (was === line || (was === undefined && line === "" && shown?.lines.length !== 0)) continue;
    out += `${at(row, 0)}${line}\x1b[K`;
  }
  const { cursor } = next;
  const old = shown?.cursor ?? null;
  const sameCursor = shown !== null && old?.row === cursor?.row && old?.column === cursor?.column;
  if (out === "" && sameCursor) return "";
  if (cursor === null) return save + out;
  return `${save}${out}${at(cursor.row, cursor.column)}${show}`;
}

/** A line without the numbers that change by themselves: those do not make it new. */
const steady = (line: string): string =>
  line.replace(/\d[\d.:]*( ?([KMGT]?B|ms|[smhd]))?\b/g, "0").trimEnd();

/** Lines added below: all of another screen, else those that are new. */
function added(shown: Shown, next: Picture): string {
  const before = new Set((shown?.lines ?? []).map(steady));
  const lines = next.lines.filter((line) => line.trim() !== "");
  const other = shown === null || shown.of !== next.of;
  const fresh = other ? lines : lines.filter((line) => !before.has(steady(line)));
  const { cursor } = next;
  if (cursor === null) return fresh.map((line) => `${line.trimEnd()}\r\n`).join("");
  const typed = next.lines[cursor.row] ?? "";
  const rest = fresh.filter((line) => line !== typed);
  const same = !other && rest.length === 0 && shown.cursor?.row === cursor.row;
  const started = shown !== null && shown.cursor !== null && !same ? "\r\n" : "";
  const told = rest.map((line) => `${line.trimEnd()}\r\n`).join("");
  return `${started}${told}\r${typed}${same ? "  \b\b" : ""}`;
}

/** The bytes that bring the screen from what it shows to the picture. */
export function paint(look: Look, shown: Shown, next: Picture): string {
  return look.moves ? moved(look, shown, next) : added(shown, next);
}
