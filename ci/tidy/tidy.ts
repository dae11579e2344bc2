/**
 * All rules over all sources, and the one way around a rule.
 *
 * A finding is waived by a comment on its line or the line above that names the rule and says why:
 * `// tidy: allow banned-call: runs in the app's process, which has no Machine`.
 */
import { banned } from "./banned.ts";
import { dead } from "./dead.ts";
import { direction } from "./direction.ts";
import { domains } from "./domain.ts";
import { duplicates } from "./duplicate.ts";
import { shape } from "./shape.ts";
import { type Finding, parse, type Source } from "./source.ts";

/** The sources as path and text, and what the rest of the checkout says about them. */
export interface Project {
  readonly files: Readonly<Record<string, string>>;
  /** Sources that are named outside of sources. */
  readonly roots: readonly string[];
  /** Names of the packages that are shipped. */
  readonly packages: readonly string[];
}

const waiver = /\/\/ tidy: allow ([a-z-]+): \S.{9,}/;

function isWaived({ rule, line }: Finding, source: Source | undefined): boolean {
  return [line - 1, line - 2].some(
    (index) => waiver.exec(source?.lines[index] ?? "")?.[1] === rule,
  );
}

/** Every finding in the project, in the order of files and lines. */
export function tidy({ files, roots, packages }: Project): Finding[] {
  const sources = Object.entries(files).map(([path, text]) => parse(path, text));
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const findings = [
    ...sources.flatMap((source) => [
      ...shape(source),
      ...banned(source),
      ...direction(source, packages),
    ]),
    ...domains(sources),
    ...dead(sources, roots),
    ...duplicates(sources),
  ];
  return findings
    .filter((finding) => !isWaived(finding, byPath.get(finding.path)))
    .sort((a, b) => a.path.localeCompare(b.path) || a.line - b.line);
}
