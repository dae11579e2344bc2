/**
 * The shape of a domain: `kernel/<domain>/` is flat, small, and opens with its front page.
 *
 * `mod.ts` says what the domain is and passes exports on, `calls.ts` declares its calls; those two,
 * `schema.ts`, `limits.ts`, the tests and an app's process (`child*.ts`, another program) are not
 * counted among its files. (The table itself, `kernel/syscall/`, needs no calls of its own.)
 */
import { type Finding, isChild, isTest, type Source } from "./source.ts";

const files = 24;
const frontPageLines = 60;
const uncounted = ["mod.ts", "calls.ts", "schema.ts", "limits.ts"];

function frontPage(source: Source): Finding[] {
  const { path, lines, lineOf } = source;
  const findings: Finding[] = [];
  if (lines.length > frontPageLines + 1) {
    const message = `a front page of ${lines.length - 1} lines, at most ${frontPageLines}`;
    const remedy = "move what is not an export to its noun";
    findings.push({ path, line: frontPageLines, rule: "front-page", message, remedy });
  }
  const program = source.nodes[0];
  const body = source.nodes.filter(
    (node) => /^(Function|Variable|Class)Declaration$/.test(node.type) && node !== program,
  );
  for (const node of body) {
    const message = "a front page declares a value";
    const remedy = "declare it in its noun's file and pass it on";
    findings.push({ path, line: lineOf(node.start), rule: "front-page", message, remedy });
  }
  return findings;
}

/** Every finding about the domains that the sources make up. */
export function domains(sources: readonly Source[]): Finding[] {
  const findings = sources
    .filter(({ path }) => /^kernel\/[^/]+\/mod\.ts$/.test(path))
    .flatMap(frontPage);
  const inDomains = sources.filter(({ path }) => /^kernel\/[^/]+\//.test(path));
  for (const [name, members] of Map.groupBy(inDomains, ({ path }) => path.split("/")[1] ?? "")) {
    const folder = `kernel/${name}/`;
    const say = (path: string, message: string, remedy: string) =>
      findings.push({ path, line: 1, rule: "domain", message, remedy });
    for (const { path } of members) {
      if (path.slice(folder.length).includes("/")) {
        say(path, `"${folder}" is not flat`, `move the file up to "${folder}"`);
      }
    }
    const wantedFiles = name === "syscall" ? ["mod.ts"] : ["mod.ts", "calls.ts"];
    for (const wanted of wantedFiles) {
      if (!members.some(({ path }) => path === folder + wanted)) {
        say(folder + wanted, `"${folder}" has no ${wanted}`, "every domain has one");
      }
    }
    const counted = members.filter(
      ({ path }) =>
        !isTest(path) && !isChild(path) && !uncounted.includes(path.slice(folder.length)),
    );
    if (counted.length > files) {
      const message = `"${folder}" has ${counted.length} files, at most ${files}`;
      say(`${folder}mod.ts`, message, "join files of one noun, or split the domain");
    }
  }
  return findings;
}
