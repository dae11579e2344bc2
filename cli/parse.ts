/**
 * The words after a command as its input: arguments, flags, the flags every command has. Pure.
 *
 * `--name value`, `--name=value`, `--x` and `--no-x` for booleans, `-f` where a flag has a letter;
 * after `--` everything is an argument. A list is its flag repeated. Secrets are only named by
 * their file here; who calls reads them.
 */
import { nearest } from "../kernel/nearest.ts";
import type { Parameter } from "./parameter.ts";
import { UsageError } from "./usage.ts";
import { displayName, parseValue } from "./value.ts";

/** What every command takes. */
export interface Globals {
  readonly json: boolean;
  readonly help: boolean;
  readonly host: string | null;
  readonly data: string | null;
  /** Where a reply of bytes goes; null: standard output. */
  readonly output: string | null;
}

export const noGlobals: Globals = {
  json: false,
  help: false,
  host: null,
  data: null,
  output: null,
};

export interface Arguments {
  readonly globals: Globals;
  readonly input: Readonly<Record<string, unknown>>;
  /** Secret field → the file that holds it; `-` is standard input. */
  readonly files: Readonly<Record<string, string>>;
  /** The file of an upload; null: standard input. */
  readonly upload: string | null;
  /** Everything after the command's words, as it was typed. */
  readonly raw: readonly string[];
}

/** What to parse by. */
export interface Grammar {
  readonly parameters: readonly Parameter[];
  /** Whether one more argument names a file to send. */
  readonly upload: boolean;
  /** The synopsis, for complaints. */
  readonly synopsis: string;
}

/** Flags of every command: name → whether a value follows. */
export const globalFlags: Readonly<Record<string, boolean>> = {
  json: false,
  help: false,
  host: true,
  data: true,
  output: true,
};

const globalShorts: Readonly<Record<string, string>> = { h: "help", o: "output" };

interface State {
  readonly grammar: Grammar;
  readonly globals: Record<string, string | boolean>;
  readonly input: Record<string, unknown>;
  readonly files: Record<string, string>;
  readonly texts: string[];
}

/** A flag as the grammar knows it. */
type Flag =
  | { readonly kind: "global"; readonly name: string; readonly valued: boolean }
  | { readonly kind: "file"; readonly of: Parameter }
  | { readonly kind: "value"; readonly of: Parameter; readonly negated: boolean };

function flagNamed(parameters: readonly Parameter[], name: string): Flag | null {
  for (const of of parameters) {
    if (of.fromFile && name === `${of.spelling}-file`) return { kind: "file", of };
    if (of.positional) continue;
    const unitless = of.spelling.replace(/-(ms|bytes)$/, "");
    if (name === of.spelling || name === unitless) return { kind: "value", of, negated: false };
    if (of.kind === "boolean" && name === `no-${of.spelling}`) {
      return { kind: "value", of, negated: true };
    }
  }
  const valued = globalFlags[name];
  return valued === undefined ? null : { kind: "global", name, valued };
}

function unknownFlag({ parameters, synopsis }: Grammar, name: string): UsageError {
  const argument = parameters.find((of) => of.positional && of.spelling === name);
  if (argument !== undefined) {
    return new UsageError(`"${name}" is an argument, not a flag`, `usage: ${synopsis}`);
  }
  const known = parameters.flatMap((of) => (of.positional ? [] : [displayName(of).slice(2)]));
  const guess = nearest(name, [...known, ...Object.keys(globalFlags)]);
  const hint = guess === null ? `usage: ${synopsis}` : `did you mean "--${guess}"?`;
  return new UsageError(`unknown flag "--${name}"`, hint);
}

function put(state: State, of: Parameter, value: unknown): void {
  if (!of.list) state.input[of.name] = value;
  else state.input[of.name] = [...((state.input[of.name] as unknown[] | undefined) ?? []), value];
}

/** Takes one flag; `next` gives the word after it. */
function takeFlag(
  state: State,
  flag: Flag,
  at: { readonly given: string | null; next(): string },
): void {
  if (flag.kind === "global") {
    state.globals[flag.name] = flag.valued ? (at.given ?? at.next()) : true;
    return;
  }
  const { of } = flag;
  if (flag.kind === "file") {
    state.files[of.name] = at.given ?? at.next();
    return;
  }
  if (of.secret) {
    throw new UsageError(
      `"--${of.spelling}" would show a secret to everybody who lists processes`,
      `write it to a file: --${of.spelling}-file FILE, or "-" for standard input`,
    );
  }
  if (of.kind === "boolean" && !of.list) {
    const value = at.given === null ? true : parseValue(of, at.given);
    put(state, of, flag.negated ? !value : value);
    return;
  }
  put(state, of, parseValue(of, at.given ?? at.next()));
}

function shortFlag(state: State, letter: string): Flag {
  const of = state.grammar.parameters.find((one) => one.short === letter);
  if (of !== undefined) return { kind: "value", of, negated: false };
  const name = globalShorts[letter];
  if (name !== undefined) return { kind: "global", name, valued: globalFlags[name] ?? false };
  const hint = `usage: ${state.grammar.synopsis}`;
  throw new UsageError(`unknown flag "-${letter}"`, hint);
}

function takeWords(state: State, words: readonly string[]): void {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") {
      state.texts.push(...words.slice(i + 1));
      return;
    }
    const next = () => {
      const value = words[++i];
      if (value !== undefined) return value;
      throw new UsageError(`flag "${word}" needs a value`, `usage: ${state.grammar.synopsis}`);
    };
    const long = /^--([^=]+)(?:=(.*))?$/s.exec(word);
    if (long !== null) {
      const name = long[1] ?? "";
      const flag = flagNamed(state.grammar.parameters, name);
      if (flag === null) throw unknownFlag(state.grammar, name);
      takeFlag(state, flag, { given: long[2] ?? null, next });
    } else if (/^-[a-zA-Z]+$/.test(word)) {
      for (const letter of word.slice(1)) {
        takeFlag(state, shortFlag(state, letter), { given: null, next });
      }
    } else {
      state.texts.push(word);
    }
  }
}

/** Gives the arguments their names; answers the upload's file. */
function takeTexts(state: State): string | null {
  const { grammar, texts } = state;
  const rest = [...texts];
  for (const of of grammar.parameters.filter((one) => one.positional)) {
    // A value whose file is given is no argument any more.
    if (of.fromFile && of.name in state.files) continue;
    const taken = of.list ? rest.splice(0) : rest.splice(0, 1);
    for (const text of taken) put(state, of, parseValue(of, text));
  }
  const upload = grammar.upload ? (rest.shift() ?? null) : null;
  const [extra] = rest;
  if (extra === undefined) return upload;
  throw new UsageError(`one argument too many: "${extra}"`, `usage: ${grammar.synopsis}`);
}

function assertComplete({ grammar, input, files }: State): void {
  const missing = grammar.parameters.find(
    (of) => of.required && !of.fromFile && !(of.name in input) && !(of.name in files),
  );
  if (missing === undefined) return;
  const kind = missing.positional ? "argument" : "flag";
  throw new UsageError(`missing ${kind} ${displayName(missing)}`, `usage: ${grammar.synopsis}`);
}

const text = (value: string | boolean | undefined): string | null =>
  typeof value === "string" ? value : null;

/** The words after a command as its arguments; throws UsageError. */
export function parseWords(grammar: Grammar, words: readonly string[]): Arguments {
  const state: State = { grammar, globals: {}, input: {}, files: {}, texts: [] };
  takeWords(state, words);
  const globals: Globals = {
    json: state.globals["json"] === true,
    help: state.globals["help"] === true,
    host: text(state.globals["host"]),
    data: text(state.globals["data"]),
    output: text(state.globals["output"]),
  };
  const { input, files } = state;
  if (globals.help) return { globals, input, files, upload: null, raw: words };
  const upload = takeTexts(state);
  assertComplete(state);
  return { globals, input, files, upload, raw: words };
}
