/**
 * `fazt shell`: commands without the word fazt, one after another, with completion, a history that
 * is kept, search in it (Ctrl-R), and a pager for what is longer than the screen.
 *
 * The terminal is in raw mode only while a line is typed, so that a command has it to itself and
 * Ctrl-C reaches it. When standard input is no terminal its lines are run without a prompt; the
 * first failure's exit code is the shell's.
 */
import { createInterface } from "node:readline";
import { locate } from "./command.ts";
import { complete, isValued } from "./completion.ts";
import type { Context } from "./context.ts";
import { failed } from "./failure.ts";
import { helpText } from "./help.ts";
import { History, holdsSecret } from "./history.ts";
import { createKeyboard } from "./keyboard.ts";
import { splitLines } from "./line.ts";
import { offer } from "./offer.ts";
import { Pager } from "./pager.ts";
import type { Arguments, Globals } from "./parse.ts";
import type { Completed } from "./prompt.ts";
import { type Answer, askLine } from "./prompt-screen.ts";
import { durationText, spanMs } from "./unit.ts";
import { readLine, splitWords } from "./words.ts";

const ends = ["exit", "quit", "logout"];

/** What Tab offers for a line up to the cursor: the candidates, and the text they stand for. */
async function completer(context: Context, text: string): Promise<Completed> {
  const { words, last, open } = readLine(text);
  if (open !== null) return { words: [], last };
  const root = words[0] === "fazt" ? words.slice(1) : words;
  const { candidates, also } = complete(context.root, root, last);
  const found = [...candidates, ...(await offer(context, also, last))].map(({ word }) => word);
  const own = words.length === 0 ? ends.slice(0, 1).filter((word) => word.startsWith(last)) : [];
  const typed = [...found, ...own].map((word) => (word.endsWith("/") ? word : `${word} `));
  return { words: [...new Set(typed)].sort(), last };
}

/** One line from a terminal that can do nothing but add lines. */
function askPlainly(label: string, idleMs: number | null): Promise<Answer> {
  const editor = createInterface({ input: process.stdin, output: process.stdout, terminal: false });
  process.stdout.write(label);
  return new Promise((resolve) => {
    editor.on("line", (text) => {
      resolve({ kind: "line", text });
      editor.close();
    });
    editor.on("close", () => {
      clearTimeout(idle);
      resolve({ kind: "end" });
    });
    const leave = () => {
      resolve({ kind: "idle" });
      editor.close();
    };
    const idle = idleMs === null ? undefined : setTimeout(leave, idleMs);
  });
}

/** Where the shell's commands go, given to each of them. */
function inherited({ host, data, json }: Globals): string[] {
  const words = json ? ["--json"] : [];
  if (host !== null) words.push("--host", host);
  return data === null ? words : [...words, "--data", data];
}

/** One line to be run, and what it is run with. */
interface Run {
  readonly context: Context;
  readonly base: readonly string[];
  readonly idleMs: number | null;
}

/** Whether the command goes on until it is ended. */
function isStream({ context }: Run, words: readonly string[]): boolean {
  return locate(context.root, words, isValued).node.command?.call?.reply === "lines";
}

/** Runs a command; Ctrl-C ends it, and a stream that nobody attends to ends by itself. */
async function runWords(run: Run, words: readonly string[], pages: boolean): Promise<number> {
  const { context, base, idleMs } = run;
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  process.on("SIGINT", stop);
  const idle = idleMs !== null && isStream(run, words) ? setTimeout(stop, idleMs) : undefined;
  const pager = pages ? pagerOn(run) : null;
  const terminal = context.terminal;
  const paging = pager === null ? terminal : paged(terminal, pager);
  try {
    const raw = words.slice(0, 2).join(" ") in context.brought;
    const code = await context.run(raw ? words : [...base, ...words], interrupt.signal, paging);
    await pager?.finish();
    return code;
  } finally {
    clearTimeout(idle);
    process.off("SIGINT", stop);
  }
}

function pagerOn({ idleMs }: Run): Pager {
  const { stdout } = process;
  return new Pager({
    keyboard: createKeyboard(),
    idleMs,
    size: () => ({
      columns: stdout.columns || Number(process.env["COLUMNS"]) || 80,
      rows: stdout.rows || Number(process.env["LINES"]) || 24,
    }),
    out: (text) => stdout.write(text),
  });
}

/** The terminal with everything that is said held back by the pager. */
function paged(terminal: Context["terminal"], pager: Pager): Context["terminal"] {
  const decoder = new TextDecoder();
  return Object.create(terminal, {
    pages: { value: true },
    write: {
      value: (data: string | Uint8Array) =>
        pager.write(typeof data === "string" ? data : decoder.decode(data, { stream: true })),
    },
  }) as Context["terminal"];
}

const follows = (words: readonly string[]): boolean =>
  words.some((word) => ["-f", "--follow"].includes(word)) ||
  ["proc top", "net top"].includes(words.slice(0, 2).join(" "));

/** Runs one line; null when it ends the shell. */
async function runLine(run: Run, text: string, pages: boolean): Promise<number | null> {
  const { context } = run;
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
  if (first === "shell" || first === "console") return 0;
  if (first === "help" && words.length === 1 && !pages) {
    await context.terminal.write(helpText(context.root, context.terminal.columns));
    return 0;
  }
  return await runWords(run, words, pages && !follows(words));
}

async function interactive(run: Run, place: string): Promise<number> {
  const { context, idleMs } = run;
  const { terminal, root } = context;
  const history = new History(terminal.env);
  const dumb = ["dumb", ""].includes(terminal.env["TERM"] ?? "");
  const keyboard = createKeyboard();
  await terminal.write('"help" lists the commands, Tab completes, "exit" ends\n');
  const label = `${terminal.color ? `\x1b[1m${place}\x1b[22m` : place}> `;
  const ask = async (): Promise<Answer> => {
    if (dumb) return await askPlainly(label, idleMs);
    keyboard.open();
    const wanted = { keyboard, label, history: history.lines, idleMs };
    const answer = askLine({ ...wanted, complete: (text) => completer(context, text) });
    return await answer.finally(() => keyboard.close());
  };
  for (;;) {
    const answer = await ask();
    if (answer.kind === "idle") {
      await terminal.write(`logged out: nobody typed for ${durationText(idleMs ?? 0)}\n`);
      return 0;
    }
    if (answer.kind === "end") return 0;
    if (answer.kind === "interrupt") continue;
    if (!holdsSecret(root, answer.text)) history.add(answer.text);
    if ((await runLine(run, answer.text, !dumb)) === null) return 0;
  }
}

async function script(run: Run): Promise<number> {
  let first = 0;
  for await (const text of splitLines(run.context.terminal.input())) {
    const code = await runLine(run, text, false);
    if (code === null) break;
    if (first === 0) first = code;
  }
  return first;
}

/** The command. */
export async function shell(context: Context, { globals, input }: Arguments): Promise<number> {
  const { inputIsTty, isTty, env } = context.terminal;
  const idle = input["idle"];
  const idleMs = typeof idle === "string" ? spanMs(idle, "--idle") : null;
  const run: Run = { context, base: inherited(globals), idleMs };
  if (!inputIsTty || !isTty) return await script(run);
  return await interactive(run, globals.host ?? env["FAZT_HOST"] ?? "fazt");
}
