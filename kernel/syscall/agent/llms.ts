/**
 * `/llms.txt`: what this machine is and every call, in a page for agents that read text
 * (llmstxt.org). Derived from the table; it names no app and tells no secret.
 */
import type { CallDescription } from "../describe.ts";

/** The page. Pure. */
export function llmsText(table: readonly CallDescription[], version: string): string {
  const domains = Map.groupBy(
    table.filter(({ surfaces }) => surfaces.includes("http")),
    ({ words }) => words[0] ?? "",
  );
  const sections = [...domains].map(([domain, calls]) => {
    const lines = calls.map(({ words, args, summary }) => {
      const taken = args.map((arg) => ` ${arg.toUpperCase()}`).join("");
      return `- \`fazt ${words.join(" ")}${taken}\` (POST /sys/${words.join("/")}): ${summary}`;
    });
    return `## ${domain}\n\n${lines.join("\n")}\n`;
  });
  return `# fazt ${version}

> A personal cloud: this machine runs its owner's apps. Each operation is one system call, the same
> as a command (\`fazt fs read PATH\`), over HTTP (\`POST /sys/fs/read\`, JSON in and out) and as an
> MCP tool (\`fs_read\` at \`/mcp\`).

- Credentials: \`Authorization: Bearer fazt_…\`; the owner makes a token with \`fazt security token add\`.
- Errors: \`{"error":{"code","message","hint","call"}}\`; \`hint\` says what to do.
- [The whole API](/sys/openapi.json): inputs and outputs as an OpenAPI document.
- \`fazt man WORDS\` explains a command.

${sections.join("\n")}`;
}
