/** The golden files of the call table, and what the command line needs of every call in it. */
import { expect, test } from "bun:test";
import { commandTree, locate } from "../cli/command.ts";
import { isValued } from "../cli/completion.ts";
import { synopsis } from "../cli/help.ts";
import { localCommands } from "../cli/local.ts";
import { exampleLine } from "../cli/manual.ts";
import { globalFlags, parseWords } from "../cli/parse.ts";
import { table } from "../cli/table.ts";
import { splitWords } from "../cli/words.ts";
import { staleFiles } from "./table.ts";

test("the rendered table is up to date; if not: npm run table", () => {
  expect(staleFiles()).toEqual([]);
});

const root = commandTree(table, localCommands());
const calls = table.filter((call) => call.surfaces.includes("cli"));

test("every call can be typed: its words lead to it, its arguments are fields", () => {
  for (const { name, words, args, input } of calls) {
    const { node, lost } = locate(root, words, isValued);
    expect(lost).toBeNull();
    expect(node.command).not.toBeNull();
    const fields = Object.keys((input["properties"] as object | undefined) ?? {});
    expect({ name, unknown: args.filter((arg) => !fields.includes(arg)) }).toEqual({
      name,
      unknown: [],
    });
  }
});

test("no flag of a call has the name of one that every command takes", () => {
  const taken = calls.flatMap(({ words }) => {
    const flags = locate(root, words, isValued).node.command?.parameters ?? [];
    return flags
      .filter(({ positional, spelling }) => !positional && spelling in globalFlags)
      .map(({ spelling }) => `${words.join(" ")} --${spelling}`);
  });
  expect(taken).toEqual([]);
});

test("every example, typed as the manual shows it, is the example's input", () => {
  for (const { name, words, secrets, args, upload, examples } of calls) {
    const { command } = locate(root, words, isValued).node;
    if (command === null || command.local !== null) continue;
    const grammar = { parameters: command.parameters, upload, synopsis: synopsis(command) };
    for (const { input } of examples) {
      const typed = splitWords(exampleLine(command, input)).slice(1 + words.length);
      const parsed = parseWords(grammar, typed);
      const hidden = secrets.filter((field) => !args.includes(field));
      const shown = Object.entries(input as object).filter(([field]) => !hidden.includes(field));
      expect({ name, input: parsed.input }).toEqual({ name, input: Object.fromEntries(shown) });
    }
  }
});
