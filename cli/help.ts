/**
 * `--help`: what there is and how it is typed, in one screen. Everything is read from the commands;
 * the manual (`fazt man`) says more. Pure.
 */
import { type Command, commandsBelow, domains, type Node } from "./command.ts";
import type { Parameter } from "./parameter.ts";
import { numberText, unitOf } from "./unit.ts";
import { displayName } from "./value.ts";

/** How a flag and its value are typed: `--limit N`, `-f, --follow`. */
export function flagText(of: Parameter): string {
  const short = of.short === null ? "" : `-${of.short}, `;
  return short + longText(of);
}

function longText(of: Parameter): string {
  if (of.secret) return `--${of.spelling}-file FILE`;
  if (of.kind !== "boolean") return `--${of.spelling} ${valueWord(of)}`;
  return of.default === true ? `--no-${of.spelling}` : `--${of.spelling}`;
}

function valueWord(of: Parameter): string {
  if (of.choices !== null) return of.choices.join("|");
  if (/Ms$/.test(of.name)) return "DURATION";
  if (/Bytes$/.test(of.name)) return "SIZE";
  return { text: "TEXT", integer: "N", number: "N", json: "JSON", any: "JSON", boolean: "" }[
    of.kind
  ];
}

/** One line: the command with its arguments and flags as they are typed. */
export function synopsis(command: Command): string {
  return synopsisWords(command).join(" ");
}

/** The synopsis in lines; a flag stays with its value. */
export function synopsisLines(command: Command, width: number): string[] {
  return fill(synopsisWords(command), width);
}

function synopsisWords(command: Command): string[] {
  const words = ["fazt", ...command.words];
  const flags = command.parameters.filter((of) => !of.positional);
  for (const of of command.parameters.filter((one) => one.positional)) {
    const name = displayName(of) + (of.list ? "…" : "");
    words.push(of.required ? name : `[${name}]`);
  }
  if (command.call?.upload === true) words.push("[FILE]");
  for (const of of flags)
    words.push(of.required && !of.secret ? longText(of) : `[${longText(of)}]`);
  return words;
}

/** What stands behind a parameter's name: its description, choices and default. */
export function explained(of: Parameter): string {
  const notes: string[] = [];
  if (of.choices !== null && of.positional) notes.push(`one of ${of.choices.join(", ")}`);
  if (of.list) notes.push("may be repeated");
  if (of.positional && of.fromFile) notes.push(`or --${of.spelling}-file FILE`);
  const shown = of.kind !== "boolean" && of.default !== undefined && of.default !== "";
  if (shown) notes.push(`default ${defaultText(of)}`);
  if (of.secret) notes.push(of.required ? '"-" or none: standard input' : '"-": standard input');
  return notes.length === 0 ? of.description : `${of.description} (${notes.join("; ")})`;
}

function defaultText({ name, default: value }: Parameter): string {
  const unit = unitOf(name);
  if (typeof value !== "number" || (unit !== "ms" && unit !== "bytes")) return String(value);
  return numberText(name, value, 0).replace(" ", "");
}

/** Pairs in two columns, the second wrapped under itself. */
function pairs(rows: readonly (readonly [string, string])[], width: number): string[] {
  const widest = Math.max(0, ...rows.map(([left]) => left.length));
  const gutter = Math.min(widest, 30) + 4;
  return rows.flatMap(([left, right]) => {
    const lines = wrap(right, Math.max(20, width - gutter));
    const head = `  ${left}`.padEnd(gutter);
    const fits = head.length === gutter;
    const rest = lines.slice(fits ? 1 : 0).map((line) => " ".repeat(gutter) + line);
    return [fits ? `${head}${lines[0] ?? ""}`.trimEnd() : head, ...rest];
  });
}

/** Words in lines of at most `width` columns. */
export function wrap(text: string, width: number): string[] {
  return fill(text.split(/\s+/), width);
}

function fill(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of words) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && Bun.stringWidth(longer) > width) {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
  }
  return [...lines, line];
}

/** Flags of every command, as help shows them. */
export function commonFlags(command: Command | null): [string, string][] {
  const rows: [string, string][] = [];
  if (command?.call?.reply === "bytes") {
    rows.push(["-o, --output FILE", "write to a file instead of standard output"]);
  }
  rows.push(
    ["--json", "one JSON document; streams are one a line"],
    ["--host NAME|URL", "another machine (else FAZT_HOST, else this one)"],
    ["--data DIR", "the kernel of this data directory"],
    ["-h, --help", "this text"],
  );
  return rows;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines];
}

function commandHelp(command: Command, width: number): string[] {
  const args = command.parameters.filter((of) => of.positional);
  const flags = command.parameters.filter((of) => !of.positional);
  const rows = (list: readonly Parameter[], name: (of: Parameter) => string) =>
    list.map((of): [string, string] => [name(of), explained(of)]);
  const argRows = rows(args, displayName);
  if (command.call?.upload === true) argRows.push(["FILE", "file to send; else standard input"]);
  const common = command.local?.raw === true ? commonFlags(null).slice(-1) : commonFlags(command);
  return [
    `${command.summary}.`,
    "",
    ...synopsisLines(command, width - 7).map((line, i) => (i === 0 ? "usage: " : "       ") + line),
    ...section("arguments", pairs(argRows, width)),
    ...section("flags", pairs([...rows(flags, flagText), ...common], width)),
    ...section("more", [`  fazt man ${command.words.join(" ")}`]),
  ];
}

/** Aliases of a command in the words of a listing: `read, cat`. */
function listed(command: Command, depth: number): string {
  const names = [command.words, ...command.aliases.map((alias) => alias.split(" "))];
  return names.map((words) => words.slice(depth).join(" ")).join(", ");
}

function groupHelp(node: Node, width: number): string[] {
  const what = domains[node.words[0] ?? ""];
  const title = ["fazt", ...node.words].join(" ");
  const rows = commandsBelow(node).map((command): [string, string] => {
    const name = command === node.command ? "" : listed(command, node.words.length);
    return [name, command.summary];
  });
  const head = node.words.length === 1 && what !== undefined ? `${title}: ${what}` : title;
  return [
    head,
    ...section(`usage: ${title} COMMAND`, pairs(rows, width)),
    "",
    `${title} COMMAND --help says more, "fazt man ${node.words.join(" ")} COMMAND" says it all.`,
  ];
}

/** The commands below one that is a command itself. */
function belowRows(node: Node, width: number): string[] {
  const below = commandsBelow(node).filter((command) => command !== node.command);
  const rows = below.map((one): [string, string] => [listed(one, node.words.length), one.summary]);
  return pairs(rows, width);
}

function rootHelp(root: Node, width: number): string[] {
  const groups: [string, string][] = [];
  const singles: [string, string][] = [];
  for (const [word, node] of [...root.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (node.command !== null && !node.command.hidden) singles.push([word, node.command.summary]);
    else if (node.command === null) groups.push([word, domains[word] ?? ""]);
  }
  return [
    "fazt: a personal cloud OS",
    ...section("usage: fazt DOMAIN COMMAND", pairs(groups, width)),
    ...section("and", pairs(singles, width)),
    ...section("flags of every command", pairs(commonFlags(null), width)),
    ...section("first steps", [
      "  fazt proc start                              start the kernel on this machine",
      "  fazt app create hello && fazt app deploy hello",
    ]),
  ];
}

/** The help of a node, as text with a final line end. */
export function helpText(node: Node, columns: number | null): string {
  const width = Math.min(columns ?? 80, 100);
  const lines =
    node.words.length === 0
      ? rootHelp(node, width)
      : node.command !== null
        ? [...commandHelp(node.command, width), ...section("below it", belowRows(node, width))]
        : groupHelp(node, width);
  return `${lines.join("\n")}\n`;
}
