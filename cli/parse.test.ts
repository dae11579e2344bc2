/** Words of a command line as a call's input: what is taken, and what is refused as usage. */
import { describe, expect, test } from "bun:test";
import type { CallDescription } from "../kernel/syscall/mod.ts";
import { type Parameter, parametersOf } from "./parameter.ts";
import { parseWords } from "./parse.ts";
import { UsageError } from "./usage.ts";

const call = {
  args: ["app", "key", "value"],
  secrets: ["value", "rootPass"],
  input: {
    type: "object",
    required: ["key", "rootPass"],
    properties: {
      app: { type: "string" },
      key: { type: "string" },
      value: { description: "any JSON" },
      rootPass: { type: "string" },
      limit: { type: "integer", default: 100 },
      ratio: { type: "number" },
      ttlMs: { anyOf: [{ type: "integer" }, { type: "null" }] },
      maxBytes: { type: "integer" },
      follow: { type: "boolean", default: false },
      level: { type: "string", enum: ["info", "warn"] },
      tags: { type: "array", items: { type: "string" } },
      headers: { type: "object" },
    },
  },
} as unknown as CallDescription;

const grammar = { parameters: parametersOf(call), upload: false, synopsis: "fazt test" };
const parse = (...words: string[]) => parseWords(grammar, words);

describe("what is taken", () => {
  const cases: [string, string[], Record<string, unknown>][] = [
    ["arguments in order", ["blog", "theme"], { app: "blog", key: "theme" }],
    ["a JSON value", ["blog", "k", '{"a":1}'], { app: "blog", key: "k", value: { a: 1 } }],
    ["a value that is no JSON is a text", ["blog", "k", "dark"], { value: "dark" }],
    ["a negative number is no flag", ["blog", "k", "-5"], { value: -5 }],
    ["words after -- are arguments", ["--", "blog", "--limit"], { app: "blog", key: "--limit" }],
    ["an integer", ["a", "b", "--limit", "7"], { limit: 7 }],
    ["a value behind =", ["a", "b", "--limit=7"], { limit: 7 }],
    ["a number", ["a", "b", "--ratio", "0.5"], { ratio: 0.5 }],
    ["a duration", ["a", "b", "--ttl-ms", "1h30m"], { ttlMs: 5_400_000 }],
    ["a duration without the unit's name", ["a", "b", "--ttl", "90s"], { ttlMs: 90_000 }],
    ["null where it may be", ["a", "b", "--ttl-ms", "null"], { ttlMs: null }],
    ["a size", ["a", "b", "--max-bytes", "2MB"], { maxBytes: 2_097_152 }],
    ["a boolean", ["a", "b", "--follow"], { follow: true }],
    ["its letter", ["-f", "a", "b"], { follow: true, app: "a" }],
    ["its opposite", ["a", "b", "--no-follow"], { follow: false }],
    ["a choice", ["a", "b", "--level", "warn"], { level: "warn" }],
    ["a list", ["a", "b", "--tags", "x", "--tags", "y"], { tags: ["x", "y"] }],
    ["an object", ["a", "b", "--headers", '{"x":"y"}'], { headers: { x: "y" } }],
  ];
  test.each(cases)("%s", (_, words, expected) => {
    expect(parse(...words).input).toMatchObject(expected);
  });

  test("the flags of every command, wherever they stand", () => {
    const { globals } = parse("--host", "h", "a", "--json", "b", "-o", "out");
    expect(globals).toEqual({ json: true, help: false, host: "h", data: null, output: "out" });
  });

  test("secrets by their file, typed values too", () => {
    const given = parse("a", "b", "--root-pass-file", "p.txt", "--value-file", "-");
    expect(given.files).toEqual({ rootPass: "p.txt", value: "-" });
  });

  test("the file of an upload", () => {
    expect(parseWords({ ...grammar, upload: true }, ["a", "b", "1", "x.bin"]).upload).toBe("x.bin");
  });

  test("help needs no arguments", () => {
    expect(parse("--help").globals.help).toBe(true);
  });
});

describe("what is refused", () => {
  const cases: [string, string[], string][] = [
    ["a missing argument", ["blog"], "missing argument KEY"],
    ["one argument too many", ["a", "b", "c", "d"], 'one argument too many: "d"'],
    ["an unknown flag", ["a", "b", "--limt", "3"], 'unknown flag "--limt"'],
    ["an unknown letter", ["a", "b", "-z"], 'unknown flag "-z"'],
    ["an argument as a flag", ["--key", "b"], '"key" is an argument, not a flag'],
    ["a flag without its value", ["a", "b", "--limit"], 'flag "--limit" needs a value'],
    ["no integer", ["a", "b", "--limit", "1.5x"], "not a whole number"],
    ["an integer past 2^53", ["a", "b", "--limit", "9007199254740993"], "not a whole number"],
    ["no duration", ["a", "b", "--ttl-ms", "1y"], "not a duration"],
    ["no choice", ["a", "b", "--level", "loud"], 'bad value "loud" for --level'],
    ["no JSON", ["a", "b", "--headers", "{"], "not JSON"],
    ["a secret on the command line", ["a", "b", "--root-pass", "x"], "would show a secret"],
    ["a secret behind =", ["a", "b", "--root-pass=x"], "would show a secret"],
  ];
  test.each(cases)("%s", (_, words, message) => {
    expect(() => parse(...words)).toThrow(UsageError);
    expect(() => parse(...words)).toThrow(message);
  });
});

test("an argument that may be left out is required before one that may not", () => {
  const required = ({ positional, required }: Parameter) => positional && required;
  expect(grammar.parameters.filter(required).map(({ name }) => name)).toEqual(["app", "key"]);
});
