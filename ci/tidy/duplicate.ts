/**
 * Code that is written twice: runs of equal lines in shipped sources and ci/.
 *
 * Lines are compared without their indent; blank lines, comments and imports do not count. A run is
 * reported once, at its later place, with the place it repeats.
 */
import { type Finding, isTest, type Source } from "./source.ts";

const runLines = 12;

interface Line {
  readonly text: string;
  readonly line: number;
}

/** The lines of a file that count. */
function substance({ lines, nodes, comments, lineOf }: Source): Line[] {
  const skipped = new Set<number>();
  const imports = nodes.filter(
    ({ type }) => type === "ImportDeclaration" || type === "ExportAllDeclaration",
  );
  for (const { start, end } of [...imports, ...comments]) {
    for (let line = lineOf(start); line <= lineOf(end); line++) skipped.add(line);
  }
  return lines
    .map((text, index) => ({ text: text.trim(), line: index + 1 }))
    .filter(({ text, line }) => text !== "" && !skipped.has(line));
}

/** Every repeated run of lines. */
export function duplicates(sources: readonly Source[]): Finding[] {
  const seen = new Map<string, string>();
  const findings: Finding[] = [];
  for (const source of sources.filter(({ path }) => !isTest(path))) {
    const lines = substance(source);
    let inRun = false;
    for (let at = 0; at + runLines <= lines.length; at++) {
      const run = lines.slice(at, at + runLines).map(({ text }) => text);
      const key = run.join("\n");
      const earlier = seen.get(key);
      const line = lines[at]?.line ?? 1;
      if (earlier === undefined) seen.set(key, `${source.path}:${line}`);
      else if (!inRun) {
        const message = `${runLines} lines or more repeat ${earlier}`;
        const remedy = "write it once and use it twice";
        findings.push({ path: source.path, line, rule: "duplicate", message, remedy });
      }
      inRun = earlier !== undefined;
    }
  }
  return findings;
}
