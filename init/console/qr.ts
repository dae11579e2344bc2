/**
 * A QR code (ISO/IEC 18004) as lines of a terminal: two modules a character in half blocks, or
 * in spaces of either colour where there is no UTF-8. Dark modules are dark whatever the
 * terminal's colours are. Pure.
 */
import { encode } from "uqr";
import type { Look } from "./look.ts";

const quiet = 1;

function modulesOf(text: string): readonly (readonly boolean[])[] {
  return encode(text, { ecc: "L", border: quiet }).data;
}

const halves: Readonly<Record<string, string>> = { "00": "█", "01": "▀", "10": "▄", "11": " " };

function halfBlocks(modules: readonly (readonly boolean[])[]): string[] {
  const lines: string[] = [];
  for (let y = 0; y < modules.length; y += 2) {
    const [upper = [], lower = []] = [modules[y], modules[y + 1]];
    lines.push(
      upper.map((dark, x) => halves[`${dark ? 1 : 0}${lower[x] === false ? 0 : 1}`]).join(""),
    );
  }
  return lines;
}

/** Light modules are drawn; on a dumb terminal as signs, which need a dark background. */
function cells(modules: readonly (readonly boolean[])[], look: Look): string[] {
  const light = look.moves ? "\x1b[7m  \x1b[27m" : "##";
  return modules.map((row) => row.map((dark) => (dark ? "  " : light)).join(""));
}

/** The lines of a code; none when it does not fit into so many columns and rows. */
export function qrLines(
  text: string,
  look: Look,
  room: { readonly columns: number; readonly rows: number },
): string[] {
  const modules = modulesOf(text);
  const side = modules.length;
  const [width, height] = look.unicode ? [side, Math.ceil(side / 2)] : [2 * side, side];
  if (width > room.columns || height > room.rows) return [];
  if (!look.unicode) return cells(modules, look);
  const lines = halfBlocks(modules);
  return look.color ? lines.map((line) => `\x1b[97;40m${line}\x1b[39;49m`) : lines;
}

/**
 * What a phone opens: the wizard with the code filled in, which the page takes out of the address
 * (a fragment reaches no server). In capitals and without the code where a small code is wanted.
 */
export function setupLink(url: string, code: string, small: boolean): string {
  return small ? url.toUpperCase() : `${url}#code=${code.replaceAll("-", "")}`;
}
