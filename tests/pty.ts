/**
 * A program on a terminal of its own, and a terminal emulator's answers to its questions: what a
 * person at it would see is a grid of signs, and waiting is for text on that grid.
 *
 * The emulator knows what the console sends: moving, clearing, styles (dropped), the size asked for.
 */
import { until } from "./process.ts";

export interface PtyOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
  readonly rows?: number;
  /** False: a terminal that answers no question. */
  readonly answers?: boolean;
}

/** A grid of signs with a cursor, fed by what a program sends (ECMA-48). */
class Grid {
  readonly columns: number;
  readonly rows: number;
  #cells: string[][];
  #row = 0;
  #column = 0;
  #saved = [0, 0];
  #rest = "";

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    this.#cells = this.#blank();
  }

  get text(): string {
    return this.#cells.map((row) => row.join("").trimEnd()).join("\n");
  }

  /** Takes what was sent; gives what a terminal answers to it. */
  feed(text: string): string {
    let answer = "";
    const all = this.#rest + text;
    this.#rest = "";
    for (let at = 0; at < all.length; ) {
      const sequence = all[at] === "\x1b" ? sequenceAt(all, at) : "";
      if (sequence === null) {
        this.#rest = all.slice(at);
        return answer;
      }
      if (sequence === "") this.#put(all[at] ?? "");
      else answer += this.#control(sequence);
      at += Math.max(1, sequence.length);
    }
    return answer;
  }

  #blank(): string[][] {
    return Array.from({ length: this.rows }, () => Array<string>(this.columns).fill(" "));
  }

  #put(sign: string): void {
    if (sign === "\r") this.#column = 0;
    else if (sign === "\b") this.#column = Math.max(0, this.#column - 1);
    else if (sign === "\n") this.#down();
    else if (sign >= " ") {
      if (this.#column >= this.columns) {
        this.#column = 0;
        this.#down();
      }
      const row = this.#cells[this.#row];
      if (row !== undefined) row[this.#column++] = sign;
    }
  }

  #down(): void {
    if (this.#row < this.rows - 1) this.#row++;
    else {
      this.#cells.shift();
      this.#cells.push(Array<string>(this.columns).fill(" "));
    }
  }

  #control(sequence: string): string {
    if (sequence === "\x1b7") this.#saved = [this.#row, this.#column];
    if (sequence === "\x1b8") [this.#row = 0, this.#column = 0] = this.#saved;
    const [first = 0, second = 0] = sequence.slice(2, -1).split(";").map(Number);
    const final = sequence.at(-1);
    if (sequence[1] !== "[") return "";
    if (final === "n")
      return `\x1b[${this.#row + 1};${Math.min(this.#column, this.columns - 1) + 1}R`;
    if (final === "H") {
      this.#row = Math.min(Math.max(first, 1), this.rows) - 1;
      this.#column = Math.min(Math.max(second, 1), this.columns) - 1;
    }
    if (final === "A") this.#row = Math.max(0, this.#row - first);
    if (final === "C") this.#column = Math.min(this.columns - 1, this.#column + first);
    if (final === "K") this.#cells[this.#row]?.fill(" ", this.#column);
    if (final === "J") {
      if (first !== 2) this.#cells[this.#row]?.fill(" ", this.#column);
      for (let row = first === 2 ? 0 : this.#row + 1; row < this.rows; row++) {
        this.#cells[row]?.fill(" ");
      }
    }
    return "";
  }
}

/** The control sequence that begins here; null when it is not whole. */
function sequenceAt(text: string, at: number): string | null {
  const second = text[at + 1];
  if (second === undefined) return null;
  if (second !== "[") return text.slice(at, at + 2);
  for (let end = at + 2; end < text.length; end++) {
    const code = text.charCodeAt(end);
    if (code >= 0x40 && code <= 0x7e) return text.slice(at, end + 1);
  }
  return null;
}

export class Pty implements AsyncDisposable {
  readonly grid: Grid;
  /** Everything that was ever sent. */
  sent = "";
  readonly #child: Bun.Subprocess;

  constructor(command: readonly string[], options: PtyOptions = {}) {
    const { columns = 80, rows = 24, env = {}, answers = true } = options;
    const decoder = new TextDecoder();
    this.grid = new Grid(columns, rows);
    this.#child = Bun.spawn([...command], {
      env: { PATH: process.env["PATH"] ?? "", TERM: "linux", ...env },
      terminal: {
        cols: columns,
        rows,
        data: (terminal, bytes) => {
          const text = decoder.decode(bytes, { stream: true });
          this.sent += text;
          const answer = this.grid.feed(text);
          if (answers && answer !== "") terminal.write(answer);
        },
      },
    });
  }

  get exited(): Promise<number> {
    return this.#child.exited;
  }

  get pid(): number {
    return this.#child.pid;
  }

  type(keys: string): void {
    this.#child.terminal?.write(keys);
  }

  /** Waits until the screen holds a text (or matches), and then types. */
  async see(text: string | RegExp, keys = ""): Promise<string> {
    const seen = () =>
      typeof text === "string" ? this.grid.text.includes(text) : text.test(this.grid.text);
    await until(`"${text}" on the screen`, seen).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.grid.text}`);
    });
    if (keys !== "") this.type(keys);
    return this.grid.text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    this.#child.terminal?.close();
  }
}
