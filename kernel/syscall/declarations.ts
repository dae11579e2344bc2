/**
 * The app's `kernel` object as TypeScript: the text of the module `"fazt"`, written beside an app
 * by `fazt app create`. Derived from the rendered table, like everything else.
 */
import type { CallDescription, JsonSchema } from "./describe.ts";

const plain: Record<string, string> = {
  string: "string",
  integer: "number",
  number: "number",
  boolean: "boolean",
  null: "null",
};

function typeOf(schema: JsonSchema): string {
  const { type, anyOf, oneOf } = schema;
  const options = anyOf ?? oneOf;
  if (Array.isArray(options)) return [...new Set(options.map(typeOf))].join(" | ");
  if (schema["const"] !== undefined) return JSON.stringify(schema["const"]);
  if (Array.isArray(schema["enum"]))
    return schema["enum"].map((v) => JSON.stringify(v)).join(" | ");
  if (Array.isArray(type)) return type.map((t: string) => plain[t] ?? "unknown").join(" | ");
  if (type === "array") {
    const items = schema["items"];
    return `Array<${items === undefined ? "unknown" : typeOf(items as JsonSchema)}>`;
  }
  if (type === "object") return objectOf(schema);
  return typeof type === "string" ? (plain[type] ?? "unknown") : "unknown";
}

function objectOf(schema: JsonSchema): string {
  const properties = schema["properties"] as Record<string, JsonSchema> | undefined;
  if (properties === undefined) {
    const values = schema["additionalProperties"];
    const inner =
      typeof values === "object" && values !== null ? typeOf(values as JsonSchema) : "unknown";
    return `Record<string, ${inner}>`;
  }
  const required = new Set((schema["required"] as string[] | undefined) ?? []);
  const fields = Object.entries(properties).map(
    ([key, value]) => `${JSON.stringify(key)}${required.has(key) ? "" : "?"}: ${typeOf(value)}`,
  );
  return `{ ${fields.join("; ")} }`;
}

function methodOf(call: CallDescription): string {
  const required = (call.input["required"] as string[] | undefined) ?? [];
  const input = `input${required.length === 0 ? "?" : ""}: ${typeOf(call.input)}`;
  const body = call.upload ? ", body?: BodyInit" : "";
  const result = {
    json: `Promise<${typeOf(call.output)}>`,
    lines: `AsyncIterable<${typeOf(call.output)}>`,
    bytes: "Promise<Response>",
  }[call.reply as "json" | "lines" | "bytes"];
  return `(${input}${body}) => ${result}`;
}

type Tree = Map<string, Tree | string>;

function render(tree: Tree, indent: string): string {
  const lines = [...tree].map(([key, node]) => {
    if (typeof node === "string") return `${indent}${node}`;
    return `${indent}${key}: {\n${render(node, `${indent}  `)}\n${indent}};`;
  });
  return lines.join("\n");
}

function insert(tree: Tree, path: readonly string[], text: string): void {
  const [head = "", ...rest] = path;
  if (rest.length === 0) {
    tree.set(head, text.replace("NAME", head));
    return;
  }
  const found = tree.get(head);
  const inner: Tree = found instanceof Map ? found : new Map();
  tree.set(head, inner);
  insert(inner, rest, text);
}

/** The text of `fazt.d.ts`. */
export function renderDeclarations(table: readonly CallDescription[]): string {
  const tree: Tree = new Map();
  for (const call of table.filter((entry) => entry.surfaces.includes("app"))) {
    insert(tree, call.name.split("."), `/** ${call.summary}. */ NAME: ${methodOf(call)};`);
  }
  insert(
    tree,
    ["storage", "sql"],
    '/** The app\'s own SQL database, open. */ NAME: () => import("bun:sqlite").Database;',
  );
  const hear =
    "(name: string, handler: (event: { id: number; name: string; payload: unknown; at: number }) => " +
    "unknown) => Promise<{ name: string }>";
  insert(
    tree,
    ["proc", "on"],
    `/** Subscribe to events; call it at the top of the module. */ NAME: ${hear};`,
  );
  insert(
    tree,
    ["proc", "off"],
    "/** End a subscription. */ NAME: (name: string) => Promise<{ ended: boolean }>;",
  );
  // Its own name is that of a group, which apps do not hold.
  const of = table.find(({ name }) => name === "security.user.of");
  if (of !== undefined) {
    insert(tree, ["security", "user"], `/** ${of.summary}. */ NAME: ${methodOf(of)};`);
  }
  return `// Written by "fazt app create": the system calls an app holds. Do not edit.
declare module "fazt" {
  export const kernel: {
${render(tree, "    ")}
  };

  /** The second argument of \`fetch(request, context)\`. */
  export interface Context {
    readonly app: string;
    readonly release: string;
    readonly user: string | null;
    readonly ip: string | null;
    /** Keeps the process awake until the promise settles. */
    waitUntil(promise: Promise<unknown>): void;
    /** Turns the request into a WebSocket; the handlers are the module's \`websocket\`. */
    upgrade(request: Request, options?: { data?: unknown; headers?: HeadersInit }): boolean;
  }
}
`;
}
