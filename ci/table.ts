/**
 * `npm run table`: renders the call table to `kernel/syscall/table.json`, from which the command is
 * made, and the app's `kernel` object to `kernel/syscall/fazt.d.ts.txt`, which `fazt app create`
 * writes beside an app; the manual of the user-data document; then the texts of the command in
 * `tests/golden/`, the console's screens among them. All are golden files:
 * committed, and compared by tests. With `--check` nothing is written; exit 1 when one is stale.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { userDataManual } from "../init/seed/manual.ts";
import { describe, flatten, renderDeclarations, table } from "../kernel/syscall/mod.ts";
import { root } from "./with.mjs";

/** Path → text of every file that is rendered from the table. */
function renderedFiles(): Readonly<Record<string, string>> {
  const calls = describe(flatten(table));
  return {
    "kernel/syscall/table.json": `${JSON.stringify(calls, null, 1)}\n`,
    "kernel/syscall/fazt.d.ts.txt": renderDeclarations(calls),
    "docs/user-data.md": userDataManual(),
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

/** The texts of the command that are not what it says. The command reads the table as it begins. */
async function staleTexts(): Promise<{ path: string; text: string }[]> {
  const { goldenCases, goldenText } = await import("../tests/golden.ts");
  const cases = await Promise.all(
    goldenCases().map(async (one) => ({ ...one, text: await goldenText(one), was: one.text })),
  );
  const { screenCases, screenText } = await import("../tests/console.ts");
  const screens = screenCases().map((one) => ({ ...one, text: screenText(one), was: one.text }));
  return [...cases, ...screens].filter(({ text, was }) => text !== was);
}

if (import.meta.main) {
  const check = process.argv.includes("--check");
  const report = (path: string) =>
    console.log(check ? `${path} is stale: run "npm run table"` : `wrote ${path}`);
  const stale = staleFiles();
  for (const path of stale) {
    if (!check) writeFileSync(root + path, renderedFiles()[path] ?? "");
    report(path);
  }
  const texts = await staleTexts();
  for (const { path, text } of texts) {
    if (!check) writeFileSync(path, text);
    report(path.slice(root.length));
  }
  const count = stale.length + texts.length;
  if (count === 0) console.log("nothing is stale");
  process.exit(check && count > 0 ? 1 : 0);
}
