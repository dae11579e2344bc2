/**
 * `fazt man WORDS`: the manual, page by page as man(1) has it, made from the commands and the
 * table of errors. Pure.
 */
import { type ErrnoRow, errnos, isErrno } from "../kernel/errno.ts";
import type { CallDescription, JsonSchema } from "../kernel/syscall/mod.ts";
import { type Command, commandsBelow, domains, type Node } from "./command.ts";
import { commonFlags, explained, flagText, synopsis, synopsisLines, wrap } from "./help.ts";
import type { Parameter } from "./parameter.ts";
import { displayName, typed } from "./value.ts";

export interface PageLook {
  readonly columns: number | null;
  readonly color: boolean;
}

const indent = 7;
const widest = 80;

/** Any call may answer these without listing them. */
const always = ["EINVAL", "ENOKEY", "EACCES", "EAGAIN", "EIO"];

class Page {
  readonly #lines: string[] = [];
  readonly #width: number;
  readonly #color: boolean;

  constructor(look: PageLook) {
    this.#width = Math.min(look.columns ?? widest, widest) - indent;
    this.#color = look.color;
  }

  title(text: string): void {
    if (this.#lines.length > 0) this.#lines.push("");
    this.#lines.push(this.#bold(text));
  }

  paragraph(text: string): void {
    for (const line of wrap(text, this.#width)) this.#lines.push(" ".repeat(indent) + line);
  }

  synopsis(command: Command): void {
    for (const line of synopsisLines(command, this.#width)) {
      this.#lines.push(" ".repeat(indent) + line);
    }
  }

  /** A term and, further in, what it means. */
  term(name: string, meaning: string): void {
    this.#lines.push(" ".repeat(indent) + this.#bold(name));
    for (const line of wrap(meaning, this.#width - 4)) {
      if (line !== "") this.#lines.push(" ".repeat(indent + 4) + line);
    }
  }

  /** As it is: an example must not be wrapped. */
  verbatim(text: string): void {
    this.#lines.push(" ".repeat(indent + 4) + text);
  }

  gap(): void {
    this.#lines.push("");
  }

  text(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  #bold(text: string): string {
    return this.#color ? `\x1b[1m${text}\x1b[22m` : text;
  }
}

/** An example's input as the line that makes it. */
export function exampleLine(command: Command, input: unknown): string {
  const given = (input ?? {}) as Readonly<Record<string, unknown>>;
  const words = ["fazt", ...command.words];
  const values = (of: Parameter) => {
    const value = given[of.name];
    return value === undefined ? [] : of.list && Array.isArray(value) ? value : [value];
  };
  for (const of of command.parameters.filter((one) => one.positional)) {
    words.push(...values(of).map((value) => typed(of, value)));
  }
  if (command.call?.upload === true) words.push("FILE");
  for (const of of command.parameters.filter((one) => !one.positional)) {
    for (const value of values(of)) {
      if (of.secret) words.push(`--${of.spelling}-file`, "FILE");
      else if (of.kind === "boolean")
        words.push(value === true ? `--${of.spelling}` : `--no-${of.spelling}`);
      else words.push(`--${of.spelling}`, typed(of, value));
    }
  }
  return words.join(" ");
}

function parameters(page: Page, command: Command): void {
  const args = command.parameters.filter((of) => of.positional);
  const flags = command.parameters.filter((of) => !of.positional);
  const upload = command.call?.upload === true;
  if (args.length > 0 || upload) page.title("ARGUMENTS");
  for (const of of args) page.term(displayName(of), explained(of));
  if (upload) page.term("FILE", "the file to send; standard input when it is left out or -");
  page.title("FLAGS");
  for (const of of flags) page.term(flagText(of), explained(of));
  const common = command.local?.raw === true ? commonFlags(null).slice(-1) : commonFlags(command);
  for (const [name, meaning] of common) page.term(name, meaning);
}

function reply(page: Page, command: Command): void {
  const { call } = command;
  if (call === null || call.reply === "bytes") return;
  const list = call.output["type"] === "array";
  const schema = (list ? call.output["items"] : call.output) as JsonSchema;
  const fields = schema["properties"] as Record<string, JsonSchema> | undefined;
  if (fields === undefined) return;
  page.title("REPLY");
  if (call.reply === "lines") page.paragraph("A stream; each line has:");
  else if (list) page.paragraph("A list; each entry has:");
  for (const [name, field] of Object.entries(fields)) {
    page.term(name, String(field["description"] ?? ""));
  }
}

function errors(page: Page, call: CallDescription, told: (row: ErrnoRow) => string): void {
  page.title("ERRORS");
  for (const code of [...new Set([...call.errors, ...always])].sort()) {
    if (isErrno(code)) page.term(code, told(errnos[code]));
  }
}

function examples(page: Page, command: Command): void {
  const shown = command.call?.examples.map(({ say, input }) => ({
    say,
    line: exampleLine(command, input),
  }));
  const local = command.local?.examples.map(({ say, line }) => ({ say, line: `fazt ${line}` }));
  const list = shown ?? local ?? [];
  if (list.length === 0) return;
  page.title("EXAMPLES");
  for (const [i, { say, line }] of list.entries()) {
    if (i > 0) page.gap();
    page.paragraph(say);
    page.verbatim(line);
  }
}

/** The page of one command. */
export function commandPage(
  command: Command,
  siblings: readonly Command[],
  look: PageLook,
): string {
  const page = new Page(look);
  page.title("NAME");
  page.paragraph(`fazt ${command.words.join(" ")} - ${command.summary}`);
  page.title("SYNOPSIS");
  page.synopsis(command);
  for (const alias of command.aliases) page.paragraph(`fazt ${alias} (another name of it)`);
  if (command.manual !== null) {
    page.title("DESCRIPTION");
    page.paragraph(command.manual);
  }
  parameters(page, command);
  reply(page, command);
  const exits = ({ meaning, exit }: ErrnoRow) => `${meaning} (exit ${exit})`;
  if (command.call !== null) errors(page, command.call, exits);
  examples(page, command);
  if (command.call !== null) {
    page.title("CALL");
    page.paragraph(`${command.call.name}, POST /sys/${command.call.words.join("/")}`);
    page.paragraph(`needs the capability ${command.call.needs}`);
  }
  const others = siblings.filter((one) => one !== command).map(({ words }) => words.join(" "));
  if (others.length > 0) {
    page.title("SEE ALSO");
    page.paragraph(others.join(", "));
  }
  return page.text();
}

/** The page of a call that only apps make, in the language they are written in. */
export function appPage(command: Command, call: CallDescription, look: PageLook): string {
  const page = new Page(look);
  const name = `kernel.${call.name}`;
  page.title("NAME");
  page.paragraph(`${name} - ${command.summary}`);
  page.title("SYNOPSIS");
  const fields = command.parameters.map((of) => (of.required ? of.name : `${of.name}?`));
  const given = [...(fields.length === 0 ? [] : [`{ ${fields.join(", ")} }`])];
  if (call.upload) given.push("body?");
  page.paragraph('import { kernel } from "fazt";');
  page.paragraph(`await ${name}(${given.join(", ")})`);
  if (command.manual !== null) {
    page.title("DESCRIPTION");
    page.paragraph(command.manual);
  }
  if (fields.length > 0) page.title("FIELDS");
  for (const of of command.parameters) page.term(of.name, of.description);
  reply(page, command);
  errors(page, call, ({ meaning }) => meaning);
  page.title("EXAMPLES");
  for (const [i, { say, input }] of call.examples.entries()) {
    if (i > 0) page.gap();
    page.paragraph(say);
    const empty = Object.keys((input ?? {}) as object).length === 0;
    page.verbatim(`await ${name}(${empty ? "" : JSON.stringify(input)})`);
  }
  page.title("CALL");
  page.paragraph(`${call.name}, made by apps alone`);
  return page.text();
}

/** The page of a group, or of everything: its commands, one a line, and what only apps call. */
export function groupPage(node: Node, apps: Node | null, look: PageLook): string {
  const page = new Page(look);
  const [domain = ""] = node.words;
  page.title("NAME");
  const what = domains[domain] ?? "a personal cloud OS";
  page.paragraph(`${["fazt", ...node.words].join(" ")} - ${what}`);
  page.title("COMMANDS");
  for (const command of commandsBelow(node)) page.term(synopsis(command), command.summary);
  const calls = apps === null ? [] : commandsBelow(apps);
  if (calls.length > 0) page.title("CALLS OF APPS");
  for (const { call, summary } of calls) page.term(`kernel.${call?.name}`, summary);
  return page.text();
}
