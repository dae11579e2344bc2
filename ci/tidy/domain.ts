/**
 * The shape of a domain: `kernel/<domain>/` is small and opens with its front page. A noun that has
 * outgrown one file is a part, `kernel/<domain>/<part>/`: flat, small, with a front page too.
 *
 * `mod.ts` says what the domain is and passes exports on, `calls.ts` declares its calls; those two,
 * `schema.ts`, `limits.ts`, the tests and an app's process (`child*.ts`, another program) are not
 * counted among its files. (The table itself, `kernel/syscall/`, needs no calls of its own.)
 */
import { type Finding, isChild, isTest, type Source } from "./source.ts";

const files = 16;
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

/** The folder a file of a domain counts in: the domain, or a part of it. */
function unitOf(path: string): string {
  const [, domain = "", part = "", ...rest] = path.split("/");
  return rest.length === 0 ? `kernel/${domain}/` : `kernel/${domain}/${part}/`;
}

/** What one unit must have, and how much it may. */
function shapeOf(unit: string, members: readonly Source[]): Finding[] {
  const findings: Finding[] = [];
  const say = (path: string, message: string, remedy: string) =>
    findings.push({ path, line: 1, rule: "domain", message, remedy });
  for (const { path } of members) {
    if (!path.slice(unit.length).includes("/")) continue;
    say(path, `"${unit}" is not flat`, `move the file up to "${unit}"`);
  }
  const isPart = unit.split("/").length > 3;
  const wantedFiles = isPart || unit === "kernel/syscall/" ? ["mod.ts"] : ["mod.ts", "calls.ts"];
  for (const wanted of wantedFiles) {
    if (!members.some(({ path }) => path === unit + wanted)) {
      say(unit + wanted, `"${unit}" has no ${wanted}`, "every domain and part has one");
    }
  }
  const counted = members.filter(
    ({ path }) => !isTest(path) && !isChild(path) && !uncounted.includes(path.slice(unit.length)),
  );
  if (counted.length > files) {
    const message = `"${unit}" has ${counted.length} files, at most ${files}`;
    say(`${unit}mod.ts`, message, "join files of one noun, or make a part of them");
  }
  return findings;
}

/** Every finding about the domains and parts that the sources make up. */
export function domains(sources: readonly Source[]): Finding[] {
  const inDomains = sources.filter(({ path }) => /^kernel\/[^/]+\//.test(path));
  const pages = inDomains.filter(({ path }) => path.endsWith("/mod.ts")).flatMap(frontPage);
  const units = Map.groupBy(inDomains, ({ path }) => unitOf(path));
  return [...pages, ...[...units].flatMap(([unit, members]) => shapeOf(unit, members))];
}
