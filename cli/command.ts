/**
 * The commands: every call of the table that the command line has, and the few that are no calls.
 * One tree of words; an alias is a second place in it for the same command.
 *
 * Rules: a local command of the same words goes before a call (`security login`); nothing is
 * written down here that the table knows.
 */
import { nearest } from "../kernel/nearest.ts";
import type { CallDescription } from "../kernel/syscall/mod.ts";
import type { Context } from "./context.ts";
import { type Parameter, parametersOf } from "./parameter.ts";
import type { Arguments } from "./parse.ts";
import { UsageError } from "./usage.ts";

/** A worked example as it is typed, without the first word `fazt`. */
export interface CommandExample {
  readonly say: string;
  readonly line: string;
}

/** What is not a call: it runs on the caller's side. */
export interface LocalCommand {
  readonly words: readonly string[];
  readonly summary: string;
  readonly manual?: string;
  readonly parameters: readonly Parameter[];
  readonly examples: readonly CommandExample[];
  /** Gets its arguments as they were typed and parses them itself. */
  readonly raw?: boolean;
  /** Not listed. */
  readonly hidden?: boolean;
  /** Answers the exit code. */
  run(context: Context, args: Arguments): Promise<number>;
}

export interface Command {
  readonly words: readonly string[];
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly manual: string | null;
  readonly parameters: readonly Parameter[];
  readonly hidden: boolean;
  /** One of the two is set. */
  readonly call: CallDescription | null;
  readonly local: LocalCommand | null;
}

/** A place in the tree: a group of commands, a command, or both. */
export interface Node {
  readonly words: readonly string[];
  command: Command | null;
  readonly children: Map<string, Node>;
}

/** What the first words stand for; everything else is said by the table. */
export const domains: Readonly<Record<string, string>> = {
  app: "programs: create, deploy, roll back",
  driver: "external devices: the replica in S3",
  fs: "files of the one tree",
  net: "hosts, routes and listeners",
  proc: "processes, their logs, and the kernel itself",
  security: "passwords, tokens, users and the audit log",
  storage: "the database: keys and values, checks, space",
};

function ofCall(call: CallDescription): Command {
  return {
    words: call.words,
    aliases: call.aliases,
    summary: call.summary,
    manual: call.manual,
    parameters: parametersOf(call),
    hidden: false,
    call,
    local: null,
  };
}

function ofLocal(local: LocalCommand): Command {
  return {
    words: local.words,
    aliases: [],
    summary: local.summary,
    manual: local.manual ?? null,
    parameters: local.parameters,
    hidden: local.hidden ?? false,
    call: null,
    local,
  };
}

function place(root: Node, words: readonly string[], command: Command): void {
  let node = root;
  for (const word of words) {
    const next = node.children.get(word) ?? newNode([...node.words, word]);
    node.children.set(word, next);
    node = next;
  }
  node.command = command;
}

const newNode = (words: readonly string[]): Node => ({ words, command: null, children: new Map() });

/** The tree of all commands. */
export function commandTree(
  table: readonly CallDescription[],
  locals: readonly LocalCommand[],
): Node {
  const root = newNode([]);
  const calls = table.filter((call) => call.surfaces.includes("cli")).map(ofCall);
  for (const command of [...calls, ...locals.map(ofLocal)]) {
    place(root, command.words, command);
    for (const alias of command.aliases) place(root, alias.split(" "), command);
  }
  return root;
}

/** The command of one call, also where a local one has taken its words. */
export function callCommand(table: readonly CallDescription[], name: string): Command {
  const call = table.find((one) => one.name === name);
  if (call === undefined) throw new UsageError(`this program does not know the call ${name}`);
  return ofCall(call);
}

/** The calls that only apps make: the manual has them, the command line has not. */
export function appTree(table: readonly CallDescription[]): Node {
  const root = newNode([]);
  const only = ({ surfaces }: CallDescription) =>
    surfaces.includes("app") && !surfaces.includes("cli");
  for (const command of table.filter(only).map(ofCall)) place(root, command.words, command);
  return root;
}

/** Every command below a node that is listed, once, in order of words; aliases not repeated. */
export function commandsBelow(node: Node): Command[] {
  const found = node.command === null || node.command.hidden ? [] : [node.command];
  const below = [...node.children.values()].flatMap(commandsBelow);
  const own = [...new Set([...found, ...below])];
  return own.sort((a, b) => compare(a.words.join(" "), b.words.join(" ")));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** So many places of one word are worth reading. */
const placesMax = 4;

/** Where below a node a word is known, those with the fewest words before it. */
function placesOf(node: Node, word: string): string[] {
  let level = [node];
  while (level.length > 0) {
    level = level.flatMap(({ children }) => [...children.values()]);
    const found = level.filter(({ words, command }) => words.at(-1) === word && !command?.hidden);
    if (found.length > 0) return found.map(({ words }) => ["fazt", ...words].join(" ")).sort();
  }
  return [];
}

/** Refuses a word that leads nowhere, with what was probably meant. */
export function unknownWord(node: Node, word: string): UsageError {
  const known = [...node.children.entries()]
    .filter(([, child]) => child.command?.hidden !== true)
    .map(([name]) => name);
  const before = ["fazt", ...node.words].join(" ");
  // A command without its domain (`fazt deploy`) is no typing error, however near another word is.
  const places = placesOf(node, word);
  const guess = nearest(word, known);
  const meant = places.length > 0 ? places : guess === null ? [] : [`${before} ${guess}`];
  const listed = meant.slice(0, placesMax).map((one) => `"${one}"`);
  const more = meant.length > placesMax ? " …" : "?";
  const hint =
    meant.length === 0 ? `${before} --help lists them` : `did you mean ${listed.join(", ")}${more}`;
  return new UsageError(`no such command: ${before} ${word}`, hint);
}

/** What the first words of a command line lead to. */
export interface Located {
  readonly node: Node;
  /** The words after the command's, flags that came before them included. */
  readonly rest: readonly string[];
  /** The word that led nowhere, if there was one. */
  readonly lost: string | null;
}

/** Walks down the tree as far as the words go; `valued` says which flags take the next word. */
export function locate(
  root: Node,
  argv: readonly string[],
  valued: (flag: string) => boolean,
): Located {
  let node = root;
  const flags: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (word === "--") return { node, rest: [...flags, ...argv.slice(i)], lost: null };
    if (word.startsWith("-")) {
      if (node.command !== null) return { node, rest: [...flags, ...argv.slice(i)], lost: null };
      flags.push(word);
      if (valued(word) && i + 1 < argv.length) flags.push(argv[++i] ?? "");
      continue;
    }
    const next = node.children.get(word);
    if (next !== undefined) node = next;
    else {
      const lost = node.command === null ? word : null;
      return { node, rest: [...flags, ...argv.slice(i)], lost };
    }
  }
  return { node, rest: flags, lost: null };
}
