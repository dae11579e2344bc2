/**
 * `npm run table`: renders the call table to `kernel/syscall/table.json`, from which the command is
 * made, and the app's `kernel` object to `kernel/syscall/fazt.d.ts.txt`, which `fazt app create`
 * writes beside an app. Both are golden files: committed, and compared by a test. With `--check`
 * nothing is written; exit 1 when one is stale.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, flatten, renderDeclarations, table } from "../kernel/syscall/mod.ts";
import { root } from "./with.mjs";

/** Path → text of every file that is rendered from the table. */
function renderedFiles(): Readonly<Record<string, string>> {
  const calls = describe(flatten(table));
  return {
    "kernel/syscall/table.json": `${JSON.stringify(calls, null, 1)}\n`,
    "kernel/syscall/fazt.d.ts.txt": renderDeclarations(calls),
  };
}

/** The files that are not what the table says. */
export function staleFiles(): string[] {
  return Object.entries(renderedFiles())
    .filter(
      ([path, text]) => !existsSync(root + path) || readFileSync(root + path, "utf8") !== text,
    )
    .map(([path]) => path);
}

if (import.meta.main) {
  const stale = staleFiles();
  const check = process.argv.includes("--check");
  for (const path of stale) {
    if (!check) writeFileSync(root + path, renderedFiles()[path] ?? "");
    console.log(check ? `${path} is stale: run "npm run table"` : `wrote ${path}`);
  }
  if (!check && stale.length === 0) console.log("nothing has changed");
  process.exit(check && stale.length > 0 ? 1 : 0);
}
