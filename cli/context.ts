/**
 * What a command runs in: the terminal, the tree of commands, a way to the kernel it is meant for,
 * and a signal that ends it (Ctrl-C in the interactive shell).
 */
import { type Surroundings, surroundings } from "../kernel/data-dir.ts";
import type { CallDescription } from "../kernel/syscall/mod.ts";
import { type Client, createClient } from "./client.ts";
import type { Node } from "./command.ts";
import { readHosts } from "./hosts.ts";
import type { Globals } from "./parse.ts";
import type { Look } from "./render.ts";
import { targetOf } from "./target.ts";
import type { Terminal } from "./terminal.ts";

/** Commands that another part of the program brings, by their words: exit code from arguments. */
export type Brought = Readonly<Record<string, (args: string[]) => Promise<number>>>;

export interface Context {
  readonly terminal: Terminal;
  readonly table: readonly CallDescription[];
  readonly root: Node;
  readonly brought: Brought;
  readonly signal: AbortSignal;
  /** Runs another command line in the same surroundings, or on another terminal: its exit code. */
  run(argv: readonly string[], signal?: AbortSignal, terminal?: Terminal): Promise<number>;
}

/** Who is asked where a command goes: the environment the terminal shows, and the user. */
export function around({ terminal }: Context): Surroundings {
  return { env: terminal.env, uid: surroundings().uid };
}

/** The kernel these flags mean. */
export function clientOf(context: Context, globals: Globals): Client {
  const target = targetOf(globals, around(context), readHosts(context.terminal.env));
  return createClient(target, context.table);
}

/** How replies look on this terminal now. */
export function lookOf({ columns, color }: Terminal): Look {
  return { columns, color, now: Date.now() };
}

/** One line of text to standard output. */
export async function say(context: Context, text: string): Promise<void> {
  await context.terminal.write(`${text}\n`);
}

/** A result that is not a reply of the kernel: JSON, or the text for people. */
export async function answer(
  context: Context,
  globals: Globals,
  result: { readonly json: unknown; readonly text: string },
): Promise<void> {
  await say(context, globals.json ? JSON.stringify(result.json) : result.text);
}
