/**
 * The shape of one file: how long it and its functions are, how it opens, what it is called.
 *
 * A function's length is its own lines: those of the functions inside it are their own, so that a
 * factory is judged like the class it stands for.
 */
import { type Finding, field, isTest, type Node, type Source } from "./source.ts";

const fileLines = 500;
const testFileLines = 800;
const functionLines = 70;
const parameters = 3;
const opening = { least: 2, most: 15, leastInTest: 1, mostInFrontPage: 50 };
const bannedName = /(^|[/.-])(utils?|helpers?|commons?|managers?|types|misc)\.[a-z]+$/;

const withBody = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);
const withParameters = new Set([...withBody, "TSMethodSignature", "TSDeclareFunction"]);

type Rule = (source: Source) => Finding[];

const fileLength: Rule = ({ path, lines }) => {
  const limit = isTest(path) ? testFileLines : fileLines;
  if (lines.length <= limit + 1) return [];
  const message = `${lines.length - 1} lines, at most ${limit}`;
  return [{ path, line: limit, rule: "file-length", message, remedy: "split by noun" }];
};

function ownLines(source: Source, node: Node, inner: readonly Node[]): number {
  const first = source.lineOf(node.start);
  const span = source.lineOf(node.end) - first + 1;
  const covered = new Set<number>();
  for (const one of inner) {
    if (one === node || one.start < node.start || one.end > node.end) continue;
    const last = source.lineOf(one.end);
    for (let line = source.lineOf(one.start) + 1; line < last; line++) covered.add(line);
  }
  return span - covered.size;
}

const functionLength: Rule = (source) => {
  const functions = source.nodes.filter(({ type }) => withBody.has(type));
  return functions.flatMap((node) => {
    const line = source.lineOf(node.start);
    if (source.lineOf(node.end) - line < functionLines) return [];
    const length = ownLines(source, node, functions);
    if (length <= functionLines) return [];
    const message = `a function of ${length} lines, at most ${functionLines}`;
    const remedy = "take its steps out as functions";
    return [{ path: source.path, line, rule: "function-length", message, remedy }];
  });
};

/** In a test, the columns of a table are parameters: as many as the table has. */
const parameterCount: Rule = (source) =>
  source.nodes.flatMap((node) => {
    if (isTest(source.path)) return [];
    const taken = withParameters.has(node.type) ? (field(node, "params") as unknown[]) : [];
    if (taken.length <= parameters) return [];
    const line = source.lineOf(node.start);
    const message = `${taken.length} parameters, at most ${parameters}`;
    const remedy = "take one object with names";
    return [{ path: source.path, line, rule: "parameters", message, remedy }];
  });

/** Lines of the comment that opens the file: one block, or line comments without a gap. */
function openingLines({ text, comments, lineOf }: Source): number {
  let last = 0;
  let lines = 0;
  for (const comment of comments) {
    const start = text.startsWith("#!") ? text.indexOf("\n") + 1 : 0;
    const before = text.slice(lines === 0 ? start : last, comment.start);
    if (before.trim() !== "" || (lines > 0 && before.split("\n").length > 2)) break;
    lines += lineOf(comment.end) - lineOf(comment.start) + 1;
    last = comment.end;
    if (field(comment, "type") === "Block") break;
  }
  return lines;
}

const openingComment: Rule = (source) => {
  const { path } = source;
  const least = isTest(path) ? opening.leastInTest : opening.least;
  const most = path.endsWith("/mod.ts") ? opening.mostInFrontPage : opening.most;
  const lines = openingLines(source);
  if (lines >= least && lines <= most) return [];
  const message = `opens with ${lines} lines of comment, ${least} to ${most} wanted`;
  const remedy = "say what the file is and its rules, no more";
  return [{ path, line: 1, rule: "opening-comment", message, remedy }];
};

const fileName: Rule = ({ path }) => {
  if (!bannedName.test(path)) return [];
  const message = `"${path}" says nothing of what is in it`;
  return [{ path, line: 1, rule: "file-name", message, remedy: "name it by its one noun" }];
};

/** Every finding about the shape of one file. */
export function shape(source: Source): Finding[] {
  const rules = [fileLength, functionLength, parameterCount, openingComment, fileName];
  return rules.flatMap((rule) => rule(source));
}
