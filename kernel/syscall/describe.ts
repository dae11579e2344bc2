/**
 * The rendered table: every call as plain data. It is the golden file (`table.json`), what the CLI
 * builds its commands, help, manual and completion from, and what OpenAPI and the app's type
 * declarations are made of. Derived, never written by hand.
 */
import { z } from "zod";
import { type Call, kebab } from "../call.ts";

/** A JSON Schema (draft 2020-12), as zod renders it. */
export type JsonSchema = { readonly [key: string]: unknown };

/** One call as data. */
export interface CallDescription {
  /** Dotted, as apps and the audit log name it: `proc.startApp`. */
  readonly name: string;
  /** As the CLI and HTTP spell it: `["proc", "start-app"]`. */
  readonly words: readonly string[];
  readonly summary: string;
  readonly manual: string | null;
  readonly needs: string;
  readonly effect: string;
  readonly idempotent: boolean;
  readonly reply: string;
  readonly upload: boolean;
  readonly errors: readonly string[];
  readonly surfaces: readonly string[];
  readonly args: readonly string[];
  readonly aliases: readonly string[];
  readonly secrets: readonly string[];
  readonly examples: readonly { readonly say: string; readonly input: unknown }[];
  readonly input: JsonSchema;
  readonly output: JsonSchema;
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

/** One call as data. */
function describeCall(name: string, call: Call): CallDescription {
  return {
    name,
    words: name.split(".").map(kebab),
    summary: call.summary,
    manual: call.manual ?? null,
    needs: call.needs,
    effect: call.effect,
    idempotent: call.idempotent,
    reply: call.reply,
    upload: call.upload,
    errors: call.errors,
    surfaces: call.surfaces,
    args: call.args,
    aliases: call.aliases,
    secrets: call.secrets,
    examples: call.examples,
    input: schemaOf(call.input.strict(), "input"),
    output: call.reply === "bytes" ? {} : schemaOf(call.output, "output"),
  };
}

/** The table as data, in its own order. */
export function describe(calls: ReadonlyMap<string, Call>): CallDescription[] {
  return [...calls].map(([name, call]) => describeCall(name, call));
}
