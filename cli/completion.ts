/**
 * What may come next on a command line, from the tree of commands. Pure; names of apps, which only
 * the kernel knows, are the caller's to add.
 */
import { type Command, domains, locate, type Node } from "./command.ts";
import type { Parameter } from "./parameter.ts";
import { globalFlags } from "./parse.ts";

export interface Candidate {
  readonly word: string;
  readonly about: string;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** What else fits: a file of this computer, an app, or a path of the tree. */
  readonly also: "files" | "apps" | "paths" | null;
}

const nothing: Completion = { candidates: [], also: null };

/** Whether a flag that is no parameter takes the word after it. */
export function isValued(flag: string): boolean {
  if (flag === "-o") return true;
  return !flag.includes("=") && globalFlags[flag.replace(/^--/, "")] === true;
}

const globals: readonly Candidate[] = [
  { word: "--json", about: "one JSON document" },
  { word: "--help", about: "how it is used" },
  { word: "--host", about: "another machine" },
  { word: "--data", about: "the kernel of this data directory" },
];

function flagCandidates(command: Command): Candidate[] {
  const own = command.parameters.flatMap((of): Candidate[] => {
    if (of.positional) return [];
    const about = of.description;
    if (of.secret) return [{ word: `--${of.spelling}-file`, about }];
    const no = of.kind === "boolean" && of.default === true ? "no-" : "";
    return [{ word: `--${no}${of.spelling}`, about }];
  });
  return command.local?.raw === true ? [...own, ...globals.slice(1, 2)] : [...own, ...globals];
}

/** What a value of this parameter may be. */
function candidatesFor(of: Parameter | undefined): Completion {
  if (of === undefined) return nothing;
  if (of.choices !== null) {
    return { candidates: of.choices.map((word) => ({ word, about: "" })), also: null };
  }
  if (of.name === "app") return { candidates: [], also: "apps" };
  if (/^(path|from|to)$/.test(of.name)) return { candidates: [], also: "paths" };
  return { candidates: [], also: /^(dir|file|data)$/.test(of.name) ? "files" : null };
}

/** The parameter whose value the word after `flag` is. */
function afterFlag(command: Command, flag: string): Completion | null {
  if (/-file$|^-o$|^--(output|data)$/.test(flag)) return { candidates: [], also: "files" };
  if (flag === "--host") return nothing;
  const name = flag.replace(/^--/, "");
  const of = command.parameters.find((one) => !one.positional && one.spelling === name);
  return of === undefined || of.kind === "boolean" ? null : candidatesFor(of);
}

function argument(command: Command, before: readonly string[]): Completion {
  let filled = 0;
  for (let i = 0; i < before.length; i++) {
    const word = before[i] ?? "";
    if (!word.startsWith("-")) filled++;
    else if (!word.includes("=") && afterFlag(command, word) !== null) i++;
  }
  const args = command.parameters.filter((of) => of.positional);
  const of = args[Math.min(filled, args.at(-1)?.list === true ? args.length - 1 : filled)];
  if (of === undefined) return { candidates: [], also: command.call?.upload ? "files" : null };
  if (command.words.join(" ") === "fs cp") return { candidates: [], also: "files" };
  return candidatesFor(of);
}

function wordsOf(node: Node): Candidate[] {
  return [...node.children]
    .filter(([, child]) => child.command?.hidden !== true)
    .map(([word, child]) => ({
      word,
      about: child.command?.summary ?? (node.words.length === 0 ? (domains[word] ?? "") : ""),
    }));
}

/** What `man` and `help` take: the words of a command. */
function manualWords(root: Node, before: readonly string[]): Completion {
  const { node, lost, rest } = locate(root, before, () => false);
  const candidates = lost === null && rest.length === 0 ? wordsOf(node) : [];
  return { candidates, also: null };
}

function all(root: Node, before: readonly string[], last: string): Completion {
  const { node, rest, lost } = locate(root, before, isValued);
  if (lost !== null) return nothing;
  const previous = before.at(-1) ?? "";
  const { command } = node;
  if (command !== null && ["man", "help"].includes(command.words.join(" "))) {
    return manualWords(root, rest);
  }
  if (command === null) {
    if (isValued(previous)) return { candidates: [], also: previous === "--data" ? "files" : null };
    return { candidates: last.startsWith("-") ? globals : wordsOf(node), also: null };
  }
  const value = previous.startsWith("-") ? afterFlag(command, previous) : null;
  if (value !== null) return value;
  if (last.startsWith("-")) return { candidates: flagCandidates(command), also: null };
  const found = argument(command, rest);
  const deeper = rest.length === 0 ? wordsOf(node) : [];
  return { candidates: [...deeper, ...found.candidates], also: found.also };
}

/** What may stand in place of `last`, after the words `before`. */
export function complete(root: Node, before: readonly string[], last: string): Completion {
  const { candidates, also } = all(root, before, last);
  return { candidates: candidates.filter(({ word }) => word.startsWith(last)), also };
}
