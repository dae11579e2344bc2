/**
 * The golden texts of the command: each file of `tests/golden/` begins with the line that is typed,
 * and holds what comes of it. A new case is a new file with that one line; `npm run table` writes
 * the rest of all of them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { runOn } from "../cli/run.ts";
import { splitWords } from "../cli/words.ts";
import { recordingTerminal } from "./terminal.ts";

const folder = new URL("./golden/", import.meta.url).pathname;
const prompt = "$ fazt";

export interface GoldenCase {
  readonly path: string;
  readonly text: string;
  /** What is typed, without the first word. */
  readonly words: readonly string[];
}

/** Every case there is. */
export function goldenCases(): GoldenCase[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));
  return names.sort().map((name) => {
    const path = folder + name;
    const text = readFileSync(path, "utf8");
    const line = text.split("\n", 1)[0] ?? "";
    if (!line.startsWith(prompt)) throw new Error(`${path} must begin with "${prompt} …"`);
    return { path, text, words: splitWords(line.slice(prompt.length)) };
  });
}

/** What the file of a case should hold. */
export async function goldenText({ text, words }: GoldenCase): Promise<string> {
  const nowhere = { HOME: "/nonexistent", FAZT_DATA: "/nonexistent/fazt" };
  const terminal = recordingTerminal({ env: nowhere });
  const code = await runOn(terminal, words, {});
  const { out, err } = terminal.said;
  const complaints = err === "" ? "" : err.replace(/^(?=.)/gm, "! ");
  const exit = code === 0 ? "" : `[exit ${code}]\n`;
  return `${text.split("\n", 1)[0]}\n${out}${complaints}${exit}`;
}
