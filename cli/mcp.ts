/**
 * `fazt mcp`: the machine's tools on standard input and output, for programs that start a server
 * themselves (Model Context Protocol, stdio transport): one JSON-RPC message a line, each handed to
 * the machine's `/mcp`, its answer a line back. Nothing else is printed.
 */
import { SysError } from "../kernel/errno.ts";
import type { LocalCommand } from "./command.ts";
import { clientOf, say } from "./context.ts";
import { splitLines } from "./line.ts";

function idOf(line: string): unknown {
  try {
    return (JSON.parse(line) as { id?: unknown } | null)?.id;
  } catch {
    return null;
  }
}

/** What went wrong on the way, as an answer to the message; nothing for a notification. */
function failure(line: string, error: unknown): string | null {
  const id = idOf(line);
  if (id === undefined) return null;
  const text = error instanceof SysError ? `${error.code}: ${error.message}` : String(error);
  return JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32603, message: text } });
}

/** The command. */
export const mcpCommand: LocalCommand = {
  words: ["mcp"],
  summary: "Serve the machine's calls as MCP tools on standard input and output",
  manual:
    "For agents that start their tools as a program. Over HTTP the same tools are at /mcp on the " +
    "OS host, with a token as bearer. What an agent may do is what its token may: make one of " +
    "its own with fazt security token add, and use it with --host and FAZT_TOKEN.",
  parameters: [],
  examples: [
    { say: "The tools of this machine", line: "mcp" },
    { say: "Of another one", line: "mcp --host os.example.com" },
  ],
  run: async (context, { globals }) => {
    const client = clientOf(context, globals);
    const running = new Set<Promise<void>>();
    for await (const line of splitLines(context.terminal.input())) {
      if (line.trim() === "") continue;
      const work = client
        .mcp(line)
        .catch((error: unknown) => failure(line, error))
        .then(async (reply) => {
          if (reply !== null) await say(context, reply);
        })
        .finally(() => running.delete(work));
      running.add(work);
    }
    await Promise.all(running);
    return 0;
  },
};
