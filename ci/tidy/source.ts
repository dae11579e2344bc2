/**
 * A source file as the tidy rules see it: its text, its syntax tree as a flat list of nodes, and
 * what it imports, exports and mentions. Parsed once, read by every rule.
 *
 * Rules are functions of sources alone: they touch no disk, so that their tests are in memory.
 */
import { dirname, join } from "node:path";
import { parseSync } from "oxc-parser";

/** What a rule found, and what to do about it. Lines count from 1. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
  readonly remedy: string;
}

/** A node of the syntax tree (ESTree); further fields are read with `field`. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

export interface Import {
  /** As written. */
  readonly specifier: string;
  /** The path from the root it leads to, or null for a package. */
  readonly target: string | null;
  /** The names taken; `*` is all of them. */
  readonly names: readonly string[];
  readonly typeOnly: boolean;
  readonly line: number;
}

export interface Export {
  readonly name: string;
  readonly typeOnly: boolean;
  readonly line: number;
}

export interface Source {
  /** From the root, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly nodes: readonly Node[];
  readonly comments: readonly Node[];
  readonly imports: readonly Import[];
  readonly exports: readonly Export[];
  /** Source paths that occur in its strings: entry points of workers, bundles and children. */
  readonly mentions: readonly string[];
  lineOf(offset: number): number;
}

/** Tests, and what several tests of a folder share. */
export const isTest = (path: string): boolean => /(\.test|\/fixture|\/testing)\.ts$/.test(path);

/** An app's process: kept with the kernel, but another program with a console and an exit. */
export const isChild = (path: string): boolean => /^kernel\/proc\/child[-.]/.test(path);

/** A field of a node whose type the caller has checked. */
export function field(node: Node, name: string): unknown {
  return (node as unknown as Readonly<Record<string, unknown>>)[name];
}

export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

/** All nodes below `root`, parents before their children. */
function flatten(root: Node): Node[] {
  const found: Node[] = [];
  const waiting: unknown[] = [root];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (Array.isArray(value)) waiting.push(...value);
    else if (isNode(value)) {
      found.push(value);
      waiting.push(...Object.values(value).filter((one) => typeof one === "object"));
    }
  }
  return found;
}

/** Gives the line of an offset, counting from 1. */
function lineFinder(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}

const resolve = (from: string, specifier: string) =>
  specifier.startsWith(".") ? join(dirname(from), specifier) : null;

const pathInText = /[\w.-]+(?:\/[\w.-]+)*\.(?:ts|tsx|mjs)\b/g;

/** The source paths in a string, seen from the file and from the root. */
function mentioned(path: string, nodes: readonly Node[]): string[] {
  const strings = nodes.flatMap((node) => {
    if (node.type === "Literal") return [field(node, "value")];
    if (node.type !== "TemplateElement") return [];
    return [(field(node, "value") as { cooked?: string }).cooked];
  });
  return strings
    .filter((text) => typeof text === "string")
    .flatMap((text) => text.match(pathInText) ?? [])
    .flatMap((name) => [join(dirname(path), name), join(name)]);
}

type Module = ReturnType<typeof parseSync>["module"];

function importsOf(path: string, module: Module, lineOf: (offset: number) => number): Import[] {
  const taken = module.staticImports.map((one) => ({
    specifier: one.moduleRequest.value,
    target: resolve(path, one.moduleRequest.value),
    names: one.entries.map(({ importName }) =>
      importName.kind === "Default" ? "default" : (importName.name ?? "*"),
    ),
    typeOnly: one.entries.length > 0 && one.entries.every(({ isType }) => isType),
    line: lineOf(one.start),
  }));
  const passedOn = module.staticExports.flatMap((one) =>
    one.entries.flatMap(({ moduleRequest, importName, isType }) => {
      if (moduleRequest === null) return [];
      return {
        specifier: moduleRequest.value,
        target: resolve(path, moduleRequest.value),
        names: [importName.name ?? "*"],
        typeOnly: isType,
        line: lineOf(one.start),
      };
    }),
  );
  return [...taken, ...passedOn];
}

/** Imports at run time: `import("./x.ts")`, and types by `import("./x.ts").X`. */
function lateImportsOf(path: string, nodes: readonly Node[], lineOf: (o: number) => number) {
  return nodes.flatMap((node): Import[] => {
    if (node.type !== "ImportExpression" && node.type !== "TSImportType") return [];
    const source = field(node, "source");
    const specifier = isNode(source) ? field(source, "value") : null;
    if (typeof specifier !== "string") return [];
    const typeOnly = node.type === "TSImportType";
    const target = resolve(path, specifier);
    return [{ specifier, target, names: ["*"], typeOnly, line: lineOf(node.start) }];
  });
}

/** Parses a file; a syntax error throws, as the types part of the check says it better. */
export function parse(path: string, text: string): Source {
  const { program, module, comments, errors } = parseSync(path, text);
  if (errors[0]) throw new Error(`cannot parse "${path}": ${errors[0].message}`);
  const nodes = flatten(program as unknown as Node);
  const lineOf = lineFinder(text);
  const exports = module.staticExports.flatMap((one) =>
    one.entries.flatMap(({ exportName, isType, start }): Export[] =>
      exportName.name === null
        ? []
        : [{ name: exportName.name, typeOnly: isType, line: lineOf(start) }],
    ),
  );
  return {
    path,
    text,
    lines: text.split("\n"),
    nodes,
    comments: comments as unknown as Node[],
    imports: [...importsOf(path, module, lineOf), ...lateImportsOf(path, nodes, lineOf)],
    exports,
    mentions: mentioned(path, nodes),
    lineOf,
  };
}
