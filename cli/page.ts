/**
 * The commands about the command itself: `man`, `help`, `version`, `completion` and the hidden
 * `__complete` that the completion scripts ask.
 */
import manifest from "../package.json" with { type: "json" };
import {
  appTree,
  type Command,
  commandsBelow,
  type LocalCommand,
  locate,
  type Node,
  unknownWord,
} from "./command.ts";
import { complete } from "./completion.ts";
import { completionScripts } from "./completion-script.ts";
import { answer, type Context } from "./context.ts";
import { helpText } from "./help.ts";
import { appPage, commandPage, groupPage } from "./manual.ts";
import { offer } from "./offer.ts";
import { parameter } from "./parameter.ts";
import { table } from "./table.ts";
import type { Terminal } from "./terminal.ts";

const words = parameter("words", "words of a command; none: everything", {
  positional: true,
  list: true,
});

/** The node that words lead to, or null. */
function reached(root: Node, given: readonly string[]): Node | null {
  const { node, rest, lost } = locate(root, given, () => false);
  return (lost ?? rest[0]) === undefined ? node : null;
}

/** The node that words lead to; UsageError when they lead nowhere. */
function found(root: Node, given: readonly string[]): Node {
  const { node, rest, lost } = locate(root, given, () => false);
  const extra = lost ?? rest[0];
  if (extra !== undefined) throw unknownWord(node, extra);
  return node;
}

const listOf = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

function siblings(root: Node, command: Command): Command[] {
  const [domain = ""] = command.words;
  const node = root.children.get(domain);
  return node === undefined || command.words.length === 1 ? [] : commandsBelow(node);
}

/** Shows a long text through the reader's pager; as it is where there is none. */
async function paged(terminal: Terminal, text: string): Promise<void> {
  const chosen = (terminal.env["PAGER"] ?? "").split(/\s+/).filter((word) => word !== "");
  // The shell has a pager of its own, which its terminal's write is.
  if (terminal.pages) return await terminal.write(text);
  const usual = Bun.which("less") === null ? ["more"] : ["less", "-FRX"];
  const pager = chosen.length > 0 ? chosen : usual;
  if (!terminal.isTty || Bun.which(pager[0] ?? "") === null) return await terminal.write(text);
  const child = Bun.spawn(pager, {
    stdin: new TextEncoder().encode(text),
    stdout: "inherit",
    stderr: "inherit",
  });
  await child.exited;
}

const man: LocalCommand = {
  words: ["man"],
  summary: "Read the manual of a command",
  parameters: [words],
  examples: [{ say: "All about deploying", line: "man app deploy" }],
  run: async ({ root, terminal }, { input }) => {
    const asked = listOf(input["words"]);
    const look = { columns: terminal.columns, color: terminal.color };
    const apps = reached(appTree(table), asked);
    const only = apps?.command ?? null;
    if (only !== null && only.call !== null && reached(root, asked) === null) {
      await paged(terminal, appPage(only, only.call, look));
      return 0;
    }
    const node = found(root, asked);
    const { command } = node;
    const text =
      command !== null
        ? commandPage(command, siblings(root, command), look)
        : groupPage(node, apps, look);
    await paged(terminal, text);
    return 0;
  },
};

const help: LocalCommand = {
  words: ["help"],
  summary: "Show how a command is used",
  parameters: [words],
  examples: [{ say: "The same as --help", line: "help app deploy" }],
  run: async ({ root, terminal }, { input }) => {
    await terminal.write(helpText(found(root, listOf(input["words"])), terminal.columns));
    return 0;
  },
};

const version: LocalCommand = {
  words: ["version"],
  summary: "Show the version of this program",
  parameters: [],
  examples: [{ say: "Which one is it?", line: "version" }],
  run: async (context, { globals }) => {
    const { version: number } = manifest;
    await answer(context, globals, { json: { version: number }, text: `fazt ${number}` });
    return 0;
  },
};

const completion: LocalCommand = {
  words: ["completion"],
  summary: "Print the lines that teach a shell to complete fazt commands",
  parameters: [
    parameter("shell", "which shell", {
      positional: true,
      required: true,
      choices: Object.keys(completionScripts),
    }),
  ],
  examples: [{ say: 'In ~/.bashrc: eval "$(fazt completion bash)"', line: "completion bash" }],
  run: async ({ terminal }, { input }) => {
    await terminal.write(completionScripts[String(input["shell"])] ?? "");
    return 0;
  },
};

/** `word<TAB>what it is`, one a line; `:files` when a file of this computer fits too. */
async function candidates(context: Context, given: readonly string[]): Promise<string> {
  const last = given.at(-1) ?? "";
  const { candidates: known, also } = complete(context.root, given.slice(0, -1), last);
  const more = await offer(context, also, last);
  const lines = [...known, ...more].map(({ word, about }) => `${word}\t${about}`);
  if (also === "files") lines.push(":files");
  return lines.map((line) => `${line}\n`).join("");
}

const completing: LocalCommand = {
  words: ["__complete"],
  summary: "Answer a completion script",
  parameters: [words],
  examples: [],
  hidden: true,
  run: async (context, { input }) => {
    await context.terminal.write(await candidates(context, listOf(input["words"])));
    return 0;
  },
};

export const pageCommands: readonly LocalCommand[] = [man, help, version, completion, completing];
