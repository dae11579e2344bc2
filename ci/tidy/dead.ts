/**
 * Files that nothing reaches and exports that nobody takes.
 *
 * Roots are the tests and the files that package.json, `.ci/run` and other programs name in their
 * text. A front page may offer types that nobody has taken yet; a type may be exported when the
 * file itself uses it in what it exports.
 */
import { type Finding, field, isTest, type Source } from "./source.ts";

/** The sources that the roots reach by imports and mentions. */
function reachable(sources: ReadonlyMap<string, Source>, roots: readonly string[]): Set<string> {
  const reached = new Set<string>();
  const waiting = [...roots, ...[...sources.keys()].filter(isTest)];
  while (waiting.length > 0) {
    const path = waiting.pop() ?? "";
    const source = sources.get(path);
    if (!source || reached.has(path)) continue;
    reached.add(path);
    waiting.push(...source.imports.flatMap(({ target }) => target ?? []));
    // The rules' own texts name files without using them.
    if (!path.startsWith("ci/tidy")) waiting.push(...source.mentions);
  }
  return reached;
}

/** `path#name` of everything that somebody imports, and `path#*` where all is taken. */
function takenNames(sources: Iterable<Source>): Set<string> {
  const taken = new Set<string>();
  for (const { imports } of sources) {
    for (const { target, names } of imports) {
      for (const name of names) taken.add(`${target}#${name}`);
    }
  }
  return taken;
}

/** Whether a name occurs in its file beside its declaration. */
function usedInside({ nodes }: Source, name: string): boolean {
  const named = nodes.filter((node) => field(node, "name") === name);
  return named.filter(({ type }) => type === "Identifier").length > 1;
}

/** Every dead file and dead export. `roots` are paths of sources. */
export function dead(sources: readonly Source[], roots: readonly string[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const reached = reachable(byPath, roots);
  const taken = takenNames(sources);
  return sources.flatMap((source): Finding[] => {
    const { path } = source;
    if (!reached.has(path)) {
      const message = "no program, test or script reaches this file";
      return [{ path, line: 1, rule: "dead-file", message, remedy: "use it or delete it" }];
    }
    if (isTest(path) || taken.has(`${path}#*`)) return [];
    return source.exports.flatMap(({ name, typeOnly, line }) => {
      const offered = typeOnly && (path.endsWith("/mod.ts") || usedInside(source, name));
      if (offered || taken.has(`${path}#${name}`)) return [];
      const message = `nobody imports "${name}"`;
      const remedy = "drop the export, or the thing";
      return [{ path, line, rule: "dead-export", message, remedy }];
    });
  });
}
