/**
 * What was typed in the shell, kept in `$XDG_STATE_HOME/fazt/history`, mode 0600.
 *
 * Rules: a line that begins with a space is not kept, nor one that has a secret in it.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { locate, type Node } from "./command.ts";
import { isValued } from "./completion.ts";
import { userPath } from "./hosts.ts";
import type { Terminal } from "./terminal.ts";
import { readLine } from "./words.ts";

/** Lines kept; older ones are forgotten. */
const linesMax = 1000;

/** Whether a line holds what its command calls a secret, such as a key-value pair's value. Pure. */
export function holdsSecret(root: Node, text: string): boolean {
  const { words } = readLine(`${text} `);
  const { node, rest } = locate(root, words[0] === "fazt" ? words.slice(1) : words, isValued);
  const positional = (node.command?.parameters ?? []).filter((of) => of.positional);
  const values = rest.filter((word) => !word.startsWith("-"));
  return positional.some((of, i) => of.fromFile && values[i] !== undefined);
}

export class History {
  readonly #path: string;
  /** Newest first. */
  lines: string[] = [];

  constructor(env: Terminal["env"]) {
    const base = { variable: "XDG_STATE_HOME", fallback: ".local/state" };
    this.#path = join(userPath(env, base), "history");
    try {
      const kept = readFileSync(this.#path, "utf8")
        .split("\n")
        .filter((line) => line !== "");
      this.lines = kept.slice(-linesMax).reverse();
      if (kept.length > 2 * linesMax) {
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
