/**
 * The shell's line on the screen: asks for one line in raw mode and draws it as it is typed, over
 * as many rows as it takes. The deciding is in `prompt.ts`.
 */
import type { Keyboard } from "./keyboard.ts";
import {
  type Completed,
  completedWith,
  newPrompt,
  type Prompt,
  pressed,
  promptLabel,
} from "./prompt.ts";

export interface Ask {
  readonly keyboard: Keyboard;
  readonly label: string;
  readonly history: readonly string[];
  /** How long nobody may type before the question ends, ms; null: for ever. */
  readonly idleMs: number | null;
  complete(text: string): Promise<Completed>;
}

/** How a question ended. */
export type Answer =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "interrupt" }
  | { readonly kind: "end" }
  | { readonly kind: "idle" };

/** Rows above the cursor's that the line took when it was drawn last. */
interface Drawn {
  readonly above: number;
}

const columnsNow = (): number => process.stdout.columns || Number(process.env["COLUMNS"]) || 80;

/** Draws label and line and puts the cursor into it. */
function draw(prompt: Prompt, label: string, drawn: Drawn): Drawn {
  const columns = columnsNow();
  const shown = promptLabel(prompt, label);
  const { text, at } = prompt.edit;
  const total = Bun.stringWidth(shown + text);
  const before = Bun.stringWidth(shown + text.slice(0, at));
  const up = drawn.above > 0 ? `\x1b[${drawn.above}A` : "";
  // A line that fills its row exactly leaves the cursor behind the last column: a space moves it.
  const filler = total > 0 && total % columns === 0 ? " \r" : "";
  const endRow = Math.floor(total / columns);
  const row = Math.floor(before / columns);
  const back = endRow > row ? `\x1b[${endRow - row}A` : "";
  const column = before % columns;
  const right = column > 0 ? `\r\x1b[${column}C` : "\r";
  const place = before === total && filler === "" ? "" : back + right;
  process.stdout.write(`${up}\r\x1b[J${shown}${text}${filler}${place}`);
  return { above: row };
}

/** Leaves the line: the cursor goes below it. */
function leave(prompt: Prompt, label: string, drawn: Drawn): void {
  draw({ ...prompt, edit: { ...prompt.edit, at: prompt.edit.text.length } }, label, drawn);
  process.stdout.write("\r\n");
}

/** Words to choose from, in columns. */
function listed(words: readonly string[]): string {
  const shown = words.slice(0, 200).map((word) => word.trimEnd());
  const width = Math.max(...shown.map((word) => Bun.stringWidth(word))) + 2;
  const perLine = Math.max(1, Math.floor(columnsNow() / width));
  const lines: string[] = [];
  for (let i = 0; i < shown.length; i += perLine) {
    const cells = shown.slice(i, i + perLine).map((word) => word.padEnd(width));
    lines.push(cells.join("").trimEnd());
  }
  return lines.map((line) => `${line}\r\n`).join("");
}

/** Asks for one line. */
export async function askLine(ask: Ask): Promise<Answer> {
  const { keyboard, label } = ask;
  let prompt = newPrompt(ask.history);
  let drawn = draw(prompt, label, { above: 0 });
  for (;;) {
    const key = await keyboard.read(ask.idleMs);
    if (key === null) {
      leave(prompt, label, drawn);
      return { kind: keyboard.gone ? "end" : "idle" };
    }
    const next = pressed(prompt, key);
    prompt = next.prompt;
    if (next.asked === "line") {
      leave(prompt, label, drawn);
      return { kind: "line", text: prompt.edit.text };
    }
    if (next.asked === "end" || next.asked === "interrupt") {
      const text = next.asked === "interrupt" ? `${prompt.edit.text}^C` : prompt.edit.text;
      leave({ ...prompt, edit: { text, at: 0 } }, label, drawn);
      return { kind: next.asked };
    }
    if (next.asked === "clear") {
      process.stdout.write("\x1b[H\x1b[2J");
      drawn = { above: 0 };
    }
    if (next.asked === "complete") {
      const { text, at } = prompt.edit;
      const found = completedWith(prompt, await ask.complete(text.slice(0, at)));
      prompt = found.prompt;
      if (found.choices.length > 0) {
        leave(prompt, label, drawn);
        process.stdout.write(listed(found.choices));
        drawn = { above: 0 };
      }
    }
    drawn = draw(prompt, label, drawn);
  }
}
