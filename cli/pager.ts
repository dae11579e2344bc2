/**
 * The shell's pager: holds long output back a screenful at a time.
 *
 * Rules: what fits on the screen is only printed; Space goes on by a screen, Enter by a line, `b`
 * back by a screen, `/` to the next line that holds a text, `q` ends it and the command with it.
 * Output waits while a screen is being read, so that an endless command makes no endless buffer.
 */
import { type Edit, edited, emptyEdit } from "./edit.ts";
import type { Key } from "./key.ts";
import type { Keyboard } from "./keyboard.ts";
import { ClosedPipe } from "./terminal.ts";

/** Rows kept for going back: some hundred screens. */
const rowsKept = 10_000;

export interface PagerOptions {
  readonly keyboard: Keyboard;
  /** As long as nobody types for so long, in ms, the pager ends; null: for ever. */
  readonly idleMs: number | null;
  size(): { readonly columns: number; readonly rows: number };
  out(text: string): void;
}

/** Lines as the rows that they take on a terminal. Pure. */
export function rowsOf(line: string, columns: number): string[] {
  const width = Bun.stringWidth(line);
  if (width <= columns) return [line];
  const rows: string[] = [];
  for (let at = 0; at < width; at += columns) rows.push(Bun.sliceAnsi(line, at, at + columns));
  return rows;
}

export class Pager {
  readonly #options: PagerOptions;
  readonly #rows: string[] = [];
  /** The first row that is not on the screen yet. */
  #next = 0;
  #room: number;
  #paused = false;
  #seeking: string | null = null;
  /** A line whose end has not come. */
  #open = "";
  ended = false;

  constructor(options: PagerOptions) {
    this.#options = options;
    this.#room = this.#screenRows();
  }

  /** Takes text; resolves when there is room for more. ClosedPipe once its reader has left. */
  async write(text: string): Promise<void> {
    if (this.ended) throw new ClosedPipe();
    const lines = (this.#open + text).split("\n");
    this.#open = lines.pop() ?? "";
    const { columns } = this.#options.size();
    for (const line of lines) this.#rows.push(...rowsOf(line, columns));
    await this.#show();
    const surplus = Math.min(this.#next, this.#rows.length - rowsKept);
    if (surplus > 0) {
      this.#rows.splice(0, surplus);
      this.#next -= surplus;
    }
  }

  /** The output is over: what is left is shown, and after more than one screen its reader asked. */
  async finish(): Promise<void> {
    if (this.ended) return;
    if (this.#open !== "") this.#rows.push(...rowsOf(this.#open, this.#options.size().columns));
    this.#open = "";
    await this.#show();
    if (this.#seeking !== null) this.#options.out(`not found: ${this.#seeking}\n`);
    while (this.#paused && !this.ended) {
      const before = this.#next;
      if ((await this.#ask("end")) !== "back" && this.#next === before) return;
      await this.#show();
    }
  }

  #screenRows(): number {
    return Math.max(1, this.#options.size().rows - 1);
  }

  async #show(): Promise<void> {
    while (this.#next < this.#rows.length) {
      const row = this.#rows[this.#next] ?? "";
      if (this.#seeking !== null && !Bun.stripANSI(row).includes(this.#seeking)) {
        this.#next++;
        continue;
      }
      this.#seeking = null;
      if (this.#room > 0) {
        this.#options.out(`${row}\n`);
        this.#next++;
        this.#room--;
        continue;
      }
      this.#paused = true;
      await this.#ask("more");
      if (this.ended) throw new ClosedPipe();
    }
  }

  /** Asks the reader and does what the key says. */
  async #ask(word: "more" | "end"): Promise<"on" | "back"> {
    const { keyboard, out, idleMs } = this.#options;
    out(`\x1b[7m ${word}: Space, Enter, b back, / search, q quit \x1b[27m`);
    keyboard.open();
    try {
      for (;;) {
        const key = await keyboard.read(idleMs);
        const done = key === null ? "quit" : await this.#obey(key, word);
        if (done === "quit") this.ended = true;
        if (done !== null) return done === "back" ? "back" : "on";
      }
    } finally {
      keyboard.close();
      out("\r\x1b[K");
    }
  }

  async #obey(key: Key, word: "more" | "end"): Promise<"on" | "back" | "quit" | null> {
    const name = key.kind === "text" ? key.text : key.kind === "name" ? key.name : "";
    if (name === "q" || name === "ctrl-c" || name === "ctrl-d") return "quit";
    if (name === "b" || name === "page-up") {
      this.#next = Math.max(0, this.#next - 2 * this.#screenRows());
      this.#room = this.#screenRows();
      this.#options.out("\x1b[H\x1b[2J");
      return "back";
    }
    if (name === "/") {
      const query = await this.#query();
      if (query === "") return word === "end" ? null : "on";
      this.#seeking = query;
      this.#room = this.#screenRows();
      if (word === "end") this.#next = Math.max(0, this.#next - this.#screenRows() + 1);
      return "back";
    }
    if (word === "end") return name === " " || name === "enter" ? "quit" : null;
    if (name === " " || name === "page-down") this.#room = this.#screenRows();
    else if (name === "enter" || name === "down") this.#room = 1;
    else return null;
    return "on";
  }

  async #query(): Promise<string> {
    let line: Edit = emptyEdit;
    for (;;) {
      this.#options.out(`\r\x1b[K/${line.text}`);
      const key = await this.#options.keyboard.read(this.#options.idleMs);
      if (key === null || (key.kind === "name" && key.name === "enter")) return line.text;
      if (key.kind === "name" && ["escape", "ctrl-c"].includes(key.name)) return "";
      line = edited(line, key) ?? line;
    }
  }
}
