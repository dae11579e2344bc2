/**
 * The boot as a list of targets in order, each reached at a time, and the words for it. Pure.
 *
 *   storage → security → fs → apps → proc → net → console
 *
 * A boot that fails is in the target after the last one it reached; the machine stays there.
 */
import { SysError } from "../../kernel/errno.ts";
import type { Trouble } from "../trouble.ts";

const targets = ["storage", "security", "fs", "apps", "proc", "net", "console"] as const;

export type Target = (typeof targets)[number];

const what: Readonly<Record<Target, string>> = {
  storage: "database",
  security: "keys and callers",
  fs: "files",
  apps: "apps",
  proc: "processes",
  net: "network",
  console: "console",
};

/** The target that a boot is working on; null when it is done. */
export function current(reached: Iterable<Target>): Target | null {
  const done = new Set(reached);
  return targets.find((target) => !done.has(target)) ?? null;
}

/** The line before any target is reached: who starts here, and what it waits for. */
export function beginLine(version: string): string {
  return `[ .... ] fazt ${version} waits for the disks`;
}

/** The line that says that a target is reached. */
export function reachedLine(target: Target, atMs: number): string {
  return `[  ok  ] ${target.padEnd(9)} ${what[target].padEnd(17)} ${Math.round(atMs)} ms`;
}

/** The lines that say why the machine stays where it is. */
export function troubleLines(trouble: Trouble): string[] {
  const hint = trouble.hint === null ? [] : [`         ${trouble.hint}`];
  return [`[failed] ${trouble.target.padEnd(9)} ${trouble.code}: ${trouble.message}`, ...hint];
}

/** An error as the trouble of a target. */
export function troubleOf(error: unknown, target: Target, at: number): Trouble {
  if (error instanceof SysError) {
    const { code, message } = error;
    return { target, code, message, hint: error.hint ?? null, at };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { target, code: "EIO", message, hint: null, at };
}
