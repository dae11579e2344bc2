/**
 * `fazt shell`: commands without the word fazt, one after another, with completion and a history
 * that is kept (`$XDG_STATE_HOME/fazt/history`, mode 0600; a line that begins with a space is not).
 *
 * A new line editor is made for each line, so that a command has the terminal to itself. When
 * standard input is no terminal its lines are run without a prompt; the first failure's exit code
 * is the shell's.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { complete } from "./completion.ts";
import type { Context } from "./context.ts";
import { failed } from "./failure.ts";
import { helpText } from "./help.ts";
import { userPath } from "./hosts.ts";
import { splitLines } from "./line.ts";
import { offer } from "./offer.ts";
import type { Globals } from "./parse.ts";
import { readLine, splitWords } from "./words.ts";

const historyLinesMax = 1000;
const ends = ["exit", "quit", "logout"];

class History {
  readonly #path: string;
  /** Newest first, as the line editor wants it. */
  lines: string[] = [];

  constructor(env: Context["terminal"]["env"]) {
    const base = { variable: "XDG_STATE_HOME", fallback: ".local/state" };
    this.#path = join(userPath(env, base), "history");
    try {
      const kept = readFileSync(this.#path, "utf8")
        .split("\n")
        .filter((line) => line !== "");
      this.lines = kept.slice(-historyLinesMax).reverse();
      if (kept.length > 2 * historyLinesMax) {
        writeFileSync(this.#path, `${this.lines.toReversed().join("\n")}\n`, { mode: 0o600 });
      }
    } catch {
      // None yet, or not readable: the shell works without.
    }
  }

  add(line: string): void {
    if (line.startsWith(" ") || line.trim() === "" || line === this.lines[0]) return;
    this.lines.unshift(line);
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      appendFileSync(this.#path, `${line}\n`, { mode: 0o600 });
    } catch {
      // A history that cannot be kept is no reason to stop.
    }
  }
}

/** What the line editor asks on Tab: the candidates, and the text they stand in place of. */
async function completer(context: Context, text: string): Promise<[string[], string]> {
  const { words, last, open } = readLine(text);
  if (open !== null) return [[], last];
  const root = words[0] === "fazt" ? words.slice(1) : words;
  const { candidates, also } = complete(context.root, root, last);
  const found = [...candidates, ...(await offer(context, also, last))].map(({ word }) => word);
  const own = words.length === 0 ? ends.slice(0, 1).filter((word) => word.startsWith(last)) : [];
  const typed = [...found, ...own].map((word) => (word.endsWith("/") ? word : `${word} `));
  return [[...new Set(typed)].sort(), last];
}

/** One line from the terminal; null at its end. */
function ask(context: Context, history: History, prompt: string): Promise<string | null> {
  const editor = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: true,
    history: [...history.lines],
    historySize: historyLinesMax,
    completer: (text: string, give: (error: null, result: [string[], string]) => void) => {
      void completer(context, text).then((result) => give(null, result));
    },
    prompt,
  });
  return new Promise((resolve) => {
    let line: string | null = null;
    editor.on("line", (text) => {
      line = text;
      editor.close();
    });
    editor.on("SIGINT", () => {
      process.stdout.write("^C\n");
      line = "";
      editor.close();
    });
    editor.on("close", () => resolve(line));
    editor.prompt();
  });
}

/** Where the shell's commands go, given to each of them. */
function inherited({ host, data, json }: Globals): string[] {
  const words = json ? ["--json"] : [];
  if (host !== null) words.push("--host", host);
  return data === null ? words : [...words, "--data", data];
}

/** Runs one line; null when it ends the shell. */
async function runLine(context: Context, text: string, base: readonly string[]) {
  let words: string[];
  try {
    words = splitWords(text);
  } catch (error) {
    return failed(context.terminal, error, false);
  }
  if (words[0] === "fazt") words.shift();
  const [first] = words;
  if (first === undefined || first.startsWith("#")) return 0;
  if (ends.includes(first)) return null;
  if (first === "shell") return 0;
  if (first === "help" && words.length === 1) {
    await context.terminal.write(helpText(context.root, context.terminal.columns));
    return 0;
  }
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  process.on("SIGINT", stop);
  try {
    const raw = words.slice(0, 2).join(" ") in context.brought;
    return await context.run(raw ? words : [...base, ...words], interrupt.signal);
  } finally {
    process.off("SIGINT", stop);
  }
}

async function interactive(context: Context, base: readonly string[], place: string) {
  const { terminal } = context;
  const history = new History(terminal.env);
  await terminal.write('"help" lists the commands, Tab completes, "exit" ends\n');
  const name = terminal.color ? `\x1b[1m${place}\x1b[22m` : place;
  for (;;) {
    const text = await ask(context, history, `${name}> `);
    if (text === null) await terminal.write("\n");
    if (text === null || (await runLine(context, text, base)) === null) return 0;
    history.add(text);
  }
}

async function script(context: Context, base: readonly string[]): Promise<number> {
  let first = 0;
  for await (const text of splitLines(context.terminal.input())) {
    const code = await runLine(context, text, base);
    if (code === null) break;
    if (first === 0) first = code;
  }
  return first;
}

/** The command. */
export async function shell(context: Context, globals: Globals): Promise<number> {
  const base = inherited(globals);
  const { inputIsTty, isTty, env } = context.terminal;
  if (!inputIsTty || !isTty) return await script(context, base);
  return await interactive(context, base, globals.host ?? env["FAZT_HOST"] ?? "fazt");
}
