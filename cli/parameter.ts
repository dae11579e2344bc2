/**
 * What a command takes, from the input schema of its call: positional arguments in the call's
 * order, the rest as flags in kebab-case. Pure.
 *
 * Rules: a secret is never taken from the command line, only from `--<name>-file` or standard
 * input; a value the call lists among its positional arguments is no credential (it is only kept
 * out of the audit log) and may be typed.
 */
import type { CallDescription, JsonSchema } from "../kernel/syscall/mod.ts";

/** How the text of a value becomes the value. `any` is JSON where it parses, else the text. */
export type Kind = "text" | "integer" | "number" | "boolean" | "json" | "any";

export interface Parameter {
  /** The input's field: `rootPass`. */
  readonly name: string;
  /** How it is spelled as a flag: `root-pass`. */
  readonly spelling: string;
  readonly description: string;
  readonly kind: Kind;
  /** A list of values of that kind: repeat the flag. */
  readonly list: boolean;
  readonly nullable: boolean;
  readonly required: boolean;
  readonly choices: readonly string[] | null;
  readonly default: unknown;
  /** Positional, or a flag. */
  readonly positional: boolean;
  /** Read from `--<spelling>-file` or standard input. */
  readonly fromFile: boolean;
  /** Never read from the command line. */
  readonly secret: boolean;
  /** Bytes, which travel as base64: a file may hold either. */
  readonly bytes: boolean;
  readonly short: string | null;
}

/** A parameter with the rest filled in: an optional flag that takes a text. */
export function parameter(
  name: string,
  description: string,
  rest: Partial<Parameter> = {},
): Parameter {
  return {
    name,
    spelling: kebab(name),
    description,
    kind: "text",
    list: false,
    nullable: false,
    required: false,
    choices: null,
    default: undefined,
    positional: false,
    fromFile: false,
    secret: false,
    bytes: false,
    short: null,
    ...rest,
  };
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Conventional one-letter spellings. */
const shorts: Readonly<Record<string, string>> = { follow: "f", parents: "p", recursive: "r" };

const kinds: Readonly<Record<string, Kind>> = {
  string: "text",
  integer: "integer",
  number: "number",
  boolean: "boolean",
  object: "json",
};

interface Shape {
  readonly schema: JsonSchema;
  readonly nullable: boolean;
}

/** A schema without its `null` alternative. */
function withoutNull(schema: JsonSchema): Shape {
  const options = (schema["anyOf"] ?? schema["oneOf"]) as JsonSchema[] | undefined;
  if (!Array.isArray(options)) return { schema, nullable: false };
  const others = options.filter((option) => option["type"] !== "null");
  const nullable = others.length < options.length;
  return { schema: (others.length === 1 ? others[0] : undefined) ?? {}, nullable };
}

function choicesOf(schema: JsonSchema): readonly string[] | null {
  const values = schema["enum"] as unknown[] | undefined;
  return Array.isArray(values) ? values.map(String) : null;
}

function parameterOf(call: CallDescription, name: string, field: JsonSchema): Parameter {
  const outer = withoutNull(field);
  const list = outer.schema["type"] === "array";
  const items = outer.schema["items"] as JsonSchema | undefined;
  const inner = list ? withoutNull(items ?? {}).schema : outer.schema;
  const required = ((call.input["required"] as string[] | undefined) ?? []).includes(name);
  const positional = call.args.includes(name);
  const sensitive = call.secrets.includes(name);
  return parameter(name, String(field["description"] ?? outer.schema["description"] ?? ""), {
    kind: kinds[String(inner["type"])] ?? "any",
    list,
    nullable: outer.nullable,
    required,
    choices: choicesOf(inner),
    default: field["default"],
    positional,
    fromFile: sensitive,
    secret: sensitive && !positional,
    bytes: inner["contentEncoding"] === "base64",
    short: positional ? null : (shorts[name] ?? null),
  });
}

/** The parameters of a call: arguments in their order, then flags in the schema's. */
export function parametersOf(call: CallDescription): Parameter[] {
  const fields = (call.input["properties"] as Record<string, JsonSchema> | undefined) ?? {};
  const all = Object.entries(fields).map(([name, field]) => parameterOf(call, name, field));
  const place = ({ name }: Parameter) => call.args.indexOf(name);
  const args = all.filter((one) => one.positional).sort((a, b) => place(a) - place(b));
  // On the command line an argument can only be left out when all after it are.
  const lastRequired = args.findLastIndex((one) => one.required);
  const filled = args.map((one, i) => (i < lastRequired ? { ...one, required: true } : one));
  return [...filled, ...all.filter((one) => !one.positional)];
}
