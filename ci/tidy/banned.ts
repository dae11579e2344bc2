/**
 * Calls that are not made, each with what is used instead.
 *
 * The kernel takes time and chance from its `Machine`, so that a run can be replayed; it reports
 * through the log ring, and only programs end their process. Tests await conditions, not time.
 */
import { type Finding, field, isChild, isNode, isTest, type Node, type Source } from "./source.ts";

interface Ban {
  /** The dotted name as written; `new Date` is that call without arguments. */
  readonly names: readonly string[];
  readonly where: (path: string) => boolean;
  readonly remedy: string;
}

const inKernel = (path: string) =>
  path.startsWith("kernel/") && path !== "kernel/machine.ts" && !isTest(path) && !isChild(path);

const bans: readonly Ban[] = [
  { names: ["Date.now", "new Date"], where: inKernel, remedy: "use machine.now()" },
  {
    names: ["performance.now", "Bun.nanoseconds"],
    where: inKernel,
    remedy: "machine.monotonicMs()",
  },
  {
    names: ["Math.random"],
    where: inKernel,
    remedy: "use machine.chance(), or machine.random() for secrets",
  },
  {
    names: ["crypto.getRandomValues", "crypto.randomUUID", "Bun.randomUUIDv7", "randomBytes"],
    where: inKernel,
    remedy: "use machine.random() or machine.id()",
  },
  { names: ["setTimeout", "Bun.sleep"], where: inKernel, remedy: "use machine.after()" },
  { names: ["setInterval"], where: inKernel, remedy: "use machine.every()" },
  {
    names: ["console.log", "console.error", "console.warn", "console.info", "console.debug"],
    where: inKernel,
    remedy: "return the error, or write a line to the log ring",
  },
  {
    names: ["process.exit"],
    where: (path) => !/^(init|cli|ci)\//.test(path) && !isTest(path) && !isChild(path),
    remedy: "throw; the program's main ends the process",
  },
  {
    names: ["setTimeout", "setInterval", "Bun.sleep", "Bun.sleepSync"],
    where: isTest,
    remedy: "await the condition itself",
  },
];

/** The dotted name of an identifier or a chain of members, or null. */
function dotted(node: unknown): string | null {
  if (!isNode(node)) return null;
  if (node.type === "Identifier") return String(field(node, "name"));
  if (node.type !== "MemberExpression" || field(node, "computed") === true) return null;
  const object = dotted(field(node, "object"));
  return object === null ? null : `${object}.${dotted(field(node, "property"))}`;
}

/** The name under which a node may be banned: a member wherever it is used, a call by its name. */
function bannable(node: Node): string | null {
  if (node.type === "MemberExpression") return dotted(node);
  const callee = field(node, "callee");
  if (!isNode(callee) || callee.type !== "Identifier") return null;
  if (node.type === "CallExpression") return dotted(callee);
  const plain = (field(node, "arguments") as unknown[] | undefined)?.length === 0;
  return node.type === "NewExpression" && plain ? `new ${dotted(callee)}` : null;
}

/** Every banned call of one file. */
export function banned(source: Source): Finding[] {
  const { path, nodes, lineOf } = source;
  const here = bans.filter(({ where }) => where(path));
  if (here.length === 0) return [];
  return nodes.flatMap((node) => {
    const name = bannable(node)?.replace(/^globalThis\./, "");
    const ban = here.find(({ names }) => name !== undefined && names.includes(name));
    if (!ban) return [];
    const message = `"${name}" is not used here`;
    return [{ path, line: lineOf(node.start), rule: "banned-call", message, remedy: ban.remedy }];
  });
}
