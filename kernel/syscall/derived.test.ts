/** What derives from the table: OpenAPI, the app's declarations, and rules every call keeps. */
import { expect, describe as group, test } from "bun:test";
import { validate } from "@readme/openapi-parser";
import { errnos } from "../errno.ts";
import { renderDeclarations } from "./declarations.ts";
import { type CallDescription, describe, type JsonSchema } from "./describe.ts";
import { flatten } from "./dispatch.ts";
import { pathIndex } from "./http.ts";
import { openapi } from "./openapi.ts";
import { table } from "./table.ts";

const calls = flatten(table);
const described = describe(calls);

/** Every property of a schema, with its path, however deep. */
function* properties(schema: JsonSchema, path: string): Generator<[string, JsonSchema]> {
  for (const [name, inner] of Object.entries((schema["properties"] ?? {}) as JsonSchema)) {
    yield [`${path}.${name}`, inner as JsonSchema];
    yield* properties(inner as JsonSchema, `${path}.${name}`);
  }
  const items = schema["items"] as JsonSchema | undefined;
  if (items !== undefined) yield* properties(items, `${path}[]`);
}

const undescribed = (call: CallDescription, side: "input" | "output") =>
  [...properties(call[side], side)]
    .filter(([, schema]) => typeof schema["description"] !== "string")
    .map(([path]) => `${call.name} ${path}`);

group("every call", () => {
  test("has all its fields described", () => {
    const lacking = described.flatMap((call) => [
      ...undescribed(call, "input"),
      ...undescribed(call, "output"),
    ]);
    expect(lacking).toEqual([]);
  });

  test("declares known errnos, once each", () => {
    for (const call of described) {
      expect(call.errors.filter((code) => !(code in errnos))).toEqual([]);
      expect(new Set(call.errors).size).toBe(call.errors.length);
    }
  });

  test("has an example whose input it accepts", () => {
    for (const [name, call] of calls) {
      expect([name, call.examples.length > 0]).toEqual([name, true]);
      for (const example of call.examples) {
        const parsed = call.input.strict().safeParse(example.input);
        expect([name, parsed.error?.message ?? "accepted"]).toEqual([name, "accepted"]);
      }
    }
  });

  test("names positional arguments and secrets that exist", () => {
    for (const [name, call] of calls) {
      const known = Object.keys(call.input.shape);
      const named = [...call.args, ...call.secrets];
      expect([name, named.filter((field) => !known.includes(field))]).toEqual([name, []]);
    }
  });

  test("has its own path, and only one", () => {
    const index = pathIndex(calls.keys());
    expect(index.size).toBe(calls.size + 1);
    expect(index.get("/sys/setup/claim")).toBe("security.claim");
  });

  test("is public only where there cannot be credentials yet", () => {
    const open = described.filter((call) => call.needs === "public").map((call) => call.name);
    expect(open.sort()).toEqual([
      "driver.replica.restoreMachine",
      "security.claim",
      "security.login",
      "security.logout",
      "security.whoami",
    ]);
  });
});

test("the OpenAPI document is valid, by a validator that is not ours", async () => {
  const document = openapi(described, { version: "0.0.0", url: "http://os.localhost:8080" });
  const result = await validate(structuredClone(document) as never);
  expect(result).toMatchObject({ valid: true });
  const http = described.filter((call) => call.surfaces.includes("http"));
  expect(Object.keys(document["paths"] as object).length).toBe(http.length);
});

test("the app's declarations are TypeScript, and hold what apps hold", async () => {
  const text = renderDeclarations(described);
  expect(() => new Bun.Transpiler({ loader: "ts" }).transformSync(text)).not.toThrow();
  for (const call of described.filter((entry) => entry.surfaces.includes("app"))) {
    // In an app, kernel.security.user is this call: it holds none of that group.
    const name = call.name.replace("security.user.of", "security.user");
    const method = name.split(".").at(-1) ?? "";
    expect(text).toMatch(new RegExp(`\\*/ (${method}|${JSON.stringify(method)}):`));
  }
  expect(text).toContain('sql: () => import("bun:sqlite").Database');
  expect(text).not.toContain("NAME");
});
