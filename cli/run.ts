/**
 * One command line, from its words to its exit code: find the command, show its help, or parse its
 * words and run it. Never throws: an error is told and becomes the exit code.
 */
import { runCall } from "./call.ts";
import { type Command, commandTree, locate, unknownWord } from "./command.ts";
import { isValued } from "./completion.ts";
import type { Brought, Context } from "./context.ts";
import { failed } from "./failure.ts";
import { helpText, synopsis } from "./help.ts";
import { localCommands } from "./local.ts";
import { type Arguments, noGlobals, parseWords } from "./parse.ts";
import { table } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** A command that parses its words itself still has the common help. */
function wantsHelp(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return words.slice(0, end < 0 ? undefined : end).some((word) => ["--help", "-h"].includes(word));
}

function parsedFor(command: Command, words: readonly string[]): Arguments {
  const grammar = {
    parameters: command.parameters,
    upload: command.call?.upload ?? false,
    synopsis: synopsis(command),
  };
  if (command.local?.raw !== true) return parseWords(grammar, words);
  const globals = { ...noGlobals, help: wantsHelp(words) };
  return { globals, input: {}, files: {}, upload: null, raw: words };
}

async function perform(context: Context, argv: readonly string[]): Promise<number> {
  const { terminal, root } = context;
  if (argv.length === 1 && argv[0] === "--version") return await perform(context, ["version"]);
  const { node, rest, lost } = locate(root, argv, isValued);
  if (lost !== null) throw unknownWord(node, lost);
  const { command } = node;
  if (command === null) {
    parseWords({ parameters: [], upload: false, synopsis: "fazt DOMAIN COMMAND" }, rest);
    await terminal.write(helpText(node, terminal.columns));
    return 0;
  }
  const args = parsedFor(command, rest);
  if (args.globals.help) {
    await terminal.write(helpText(node, terminal.columns));
    return 0;
  }
  return command.local === null
    ? await runCall(context, command, args)
    : await command.local.run(context, args);
}

function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end < 0 ? undefined : end).includes("--json");
}

/** Runs one command line on a terminal; `brought` are the commands of other parts of the program. */
export async function runOn(
  terminal: Terminal,
  argv: readonly string[],
  brought: Brought,
): Promise<number> {
  const root = commandTree(table, localCommands());
  const run = async (
    words: readonly string[],
    signal: AbortSignal,
    on: Terminal,
  ): Promise<number> => {
    const context: Context = {
      terminal: on,
      table,
      root,
      brought,
      signal,
      run: (inner, own, other) => run(inner, own ?? signal, other ?? on),
    };
    try {
      const code = await perform(context, words);
      await on.flush();
      return code;
    } catch (error) {
      return failed(on, error, wantsJson(words));
    }
  };
  return await run(argv, new AbortController().signal, terminal);
}
