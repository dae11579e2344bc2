/**
 * The table as an OpenAPI 3.1 document: `GET /sys/openapi.json`. One POST operation a call; errors
 * are one shared schema; streams are `application/x-ndjson`.
 */
import { errnos, isErrno } from "../errno.ts";
import type { CallDescription, JsonSchema } from "./describe.ts";

type Json = Record<string, unknown>;

const errorSchema: Json = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "message", "hint", "call"],
      properties: {
        code: { type: "string", enum: Object.keys(errnos) },
        message: { type: "string" },
        hint: { type: ["string", "null"], description: "what to do about it" },
        call: { type: ["string", "null"] },
      },
    },
  },
};

const always = ["EINVAL", "ENOKEY", "EACCES", "EAGAIN", "ENOSPC", "EIO"];

function content(call: CallDescription): Json {
  if (call.reply === "bytes") return { "application/octet-stream": {} };
  const type = call.reply === "lines" ? "application/x-ndjson" : "application/json";
  return { [type]: { schema: call.output } };
}

function failures(call: CallDescription): Json {
  const byStatus = new Map<number, string[]>();
  for (const code of new Set([...call.errors, ...always])) {
    if (!isErrno(code)) continue;
    const { status, meaning } = errnos[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), `${code}: ${meaning}`]);
  }
  const sorted = [...byStatus].sort(([a], [b]) => a - b);
  return Object.fromEntries(
    sorted.map(([status, lines]) => [
      String(status),
      {
        description: lines.join("; "),
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    ]),
  );
}

/** Upload calls carry their input as JSON in the query, and raw bytes in the body. */
function request(call: CallDescription): Json {
  if (!call.upload) {
    return {
      requestBody: { required: true, content: { "application/json": { schema: call.input } } },
    };
  }
  return {
    parameters: [
      {
        name: "input",
        in: "query",
        required: true,
        description: "the call's input as JSON",
        content: { "application/json": { schema: call.input } },
      },
    ],
    requestBody: { required: true, content: { "application/octet-stream": {} } },
  };
}

function operation(call: CallDescription): Json {
  return {
    operationId: call.words.join("_").replaceAll("-", "_"),
    tags: [call.words[0] ?? ""],
    summary: call.summary,
    description: call.manual ?? call.summary,
    ...(call.needs === "public" ? { security: [] } : {}),
    ...request(call),
    responses: {
      "200": { description: "done", content: content(call) },
      ...failures(call),
    },
  };
}

/** The document, for a machine at `url` running `version`. */
export function openapi(
  table: readonly CallDescription[],
  at: { version: string; url: string },
): JsonSchema {
  const calls = table.filter((call) => call.surfaces.includes("http"));
  return {
    openapi: "3.1.0",
    info: { title: "fazt", version: at.version, description: "The system calls of this machine." },
    servers: [{ url: at.url }],
    security: [{ bearer: [] }],
    paths: Object.fromEntries(
      calls.map((call) => [`/sys/${call.words.join("/")}`, { post: operation(call) }]),
    ),
    components: {
      schemas: { Error: errorSchema },
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    },
  };
}
