/** Each rule of the style gate: a project in memory that keeps it and one that breaks it. */
import { describe, expect, test } from "bun:test";
import { tidy } from "./tidy/tidy.ts";

const opening = "// A file of a test.\n// It has two lines.\n";

/** Files that make up a complete domain `name`, so that only what a test adds is found. */
function domain(name: string): Record<string, string> {
  const folder = `kernel/${name}/`;
  return { [`${folder}mod.ts`]: opening, [`${folder}calls.ts`]: opening };
}

/** What is found in files that all open rightly and are all reached, as `rule path:line`. */
function findings(added: Readonly<Record<string, string>>, roots?: readonly string[]): string[] {
  const files: Record<string, string> = {};
  for (const path of Object.keys(added)) {
    const name = /^kernel\/([^/]+)\//.exec(path)?.[1];
    if (name) Object.assign(files, domain(name));
  }
  for (const [path, text] of Object.entries(added)) files[path] = opening + text;
  const found = tidy({ files, roots: roots ?? Object.keys(files), packages: ["zod"] });
  return found.map(({ rule, path, line }) => `${rule} ${path}:${line}`);
}

/** What is found of one rule when one file holds `text`. */
function inOne(path: string, text: string): string[] {
  return findings({ [path]: text });
}

const lines = (count: number, line: string) => `${line}\n`.repeat(count);
/** Statements that differ from line to line, so that they are no duplicates. */
const statements = (count: number, word = "void") =>
  Array.from({ length: count }, (_, at) => `  ${word} ${at};`).join("\n");

describe("shape", () => {
  test("file length: 500 lines, tests 800", () => {
    expect(inOne("init/a.ts", lines(498, ""))).toEqual([]);
    expect(inOne("init/a.ts", lines(499, ""))).toEqual(["file-length init/a.ts:500"]);
    expect(inOne("init/a.test.ts", lines(798, ""))).toEqual([]);
    expect(inOne("init/a.test.ts", lines(799, ""))).toEqual(["file-length init/a.test.ts:800"]);
  });

  test("function length: 70 lines of its own", () => {
    const body = (count: number) => `{\n${statements(count)}\n}`;
    expect(inOne("init/a.ts", `function f() ${body(68)}\nf();`)).toEqual([]);
    expect(inOne("init/a.ts", `function f() ${body(69)}\nf();`)).toEqual([
      "function-length init/a.ts:3",
    ]);
    expect(inOne("init/a.ts", `(() => ${body(69)})();`)).toEqual(["function-length init/a.ts:3"]);
  });

  test("the lines of inner functions are their own", () => {
    const inner = `const g = () => {\n${statements(60, "typeof")}\n};\ng();`;
    expect(inOne("init/a.ts", `function f() {\n${inner}\n${statements(60)}\n}\nf();`)).toEqual([]);
  });

  test("three parameters, also in interfaces", () => {
    expect(inOne("init/a.ts", "((a, b, c) => [a, b, c])(1, 2, 3);")).toEqual([]);
    expect(inOne("init/a.ts", "((a, b, c, d) => [a, b, c, d])(1, 2, 3, 4);")).toEqual([
      "parameters init/a.ts:3",
    ]);
    expect(inOne("init/a.test.ts", "((a, b, c, d) => [a, b, c, d])(1, 2, 3, 4);")).toEqual([]);
    expect(inOne("init/a.ts", "interface I {\n  f(a: 1, b: 2, c: 3, d: 4): void;\n}")).toEqual([
      "parameters init/a.ts:4",
    ]);
  });

  test("a file opens with 2 to 15 lines of comment, a test with 1", () => {
    const only = (path: string, text: string) =>
      tidy({ files: { [path]: text }, roots: [path], packages: [] }).map(({ rule }) => rule);
    expect(only("init/a.ts", "/**\n * What it is.\n */\nvoid 0;\n")).toEqual([]);
    expect(only("init/a.ts", "#!/usr/bin/env bun\n// One.\n// Two.\nvoid 0;\n")).toEqual([]);
    expect(only("init/a.ts", "// One.\nvoid 0;\n")).toEqual(["opening-comment"]);
    expect(only("init/a.ts", "// One.\n\n// Another.\nvoid 0;\n")).toEqual(["opening-comment"]);
    expect(only("init/a.ts", lines(16, "// On and on."))).toEqual(["opening-comment"]);
    expect(only("init/a.test.ts", "// One.\nvoid 0;\n")).toEqual([]);
    expect(only("init/a.test.ts", "void 0;\n")).toEqual(["opening-comment"]);
  });

  test("a file is named by its noun", () => {
    expect(inOne("init/console.ts", "")).toEqual([]);
    for (const name of ["utils", "helpers", "common", "manager", "types", "slot-manager"]) {
      expect(inOne(`init/${name}.ts`, "")).toEqual([`file-name init/${name}.ts:1`]);
    }
  });
});

describe("banned calls", () => {
  const kernelOnly = [
    "Date.now();",
    "new Date();",
    "performance.now();",
    "Math.random();",
    "crypto.randomUUID();",
    "globalThis.crypto.getRandomValues(new Uint8Array(1));",
    "setTimeout(() => {}, 1);",
    "setInterval(() => {}, 1);",
    'console.log("x");',
  ];

  test.each(kernelOnly)("%s belongs to the machine under the kernel", (text) => {
    expect(inOne("kernel/alpha/a.ts", text)).toEqual(["banned-call kernel/alpha/a.ts:3"]);
    expect(inOne("kernel/machine.ts", text)).toEqual([]);
    expect(inOne("cli/a.ts", text)).toEqual([]);
  });

  test("a date of a given time is no clock", () => {
    expect(inOne("kernel/alpha/a.ts", "new Date(0).toISOString();")).toEqual([]);
  });

  test("only programs end their process", () => {
    expect(inOne("kernel/alpha/a.ts", "process.exit(1);")).toEqual([
      "banned-call kernel/alpha/a.ts:3",
    ]);
    expect(inOne("init/a.ts", "process.exit(1);")).toEqual([]);
  });

  test.each(["Bun.sleep(1);", "setTimeout(() => {}, 1);"])("a test does not: %s", (text) => {
    expect(inOne("cli/a.test.ts", text)).toEqual(["banned-call cli/a.test.ts:3"]);
  });

  test("a waiver names the rule and the reason", () => {
    const waived = "// tidy: allow banned-call: the clock of the host is meant here\nDate.now();";
    expect(inOne("kernel/alpha/a.ts", waived)).toEqual([]);
    const unreasoned = "// tidy: allow banned-call:\nDate.now();";
    expect(inOne("kernel/alpha/a.ts", unreasoned)).toEqual(["banned-call kernel/alpha/a.ts:4"]);
    const other = "// tidy: allow parameters: the clock of the host is meant here\nDate.now();";
    expect(inOne("kernel/alpha/a.ts", other)).toEqual(["banned-call kernel/alpha/a.ts:4"]);
  });
});

describe("direction", () => {
  const allowed: readonly (readonly [string, string])[] = [
    ["kernel/fs/a.ts", 'import { x } from "../storage/mod.ts";'],
    ["kernel/fs/a.ts", 'import { x } from "../errno.ts";'],
    ["kernel/fs/a.ts", 'import { x } from "./b.ts";'],
    ["kernel/fs/a.ts", 'import type { x } from "../security/mod.ts";'],
    ["kernel/fs/calls.ts", 'import type { Kernel } from "../kernel.ts";'],
    ["kernel/fs/blob/calls.ts", 'import type { Kernel } from "../../kernel.ts";'],
    ["kernel/fs/a.test.ts", 'import { x } from "../syscall/mod.ts";'],
    ["kernel/fs/a.test.ts", 'import { x } from "../storage/limits.ts";'],
    ["kernel/fs/a.ts", 'import { z } from "zod";\nimport { join } from "node:path";'],
    ["kernel/kernel.ts", 'import type { Fs } from "./fs/mod.ts";'],
    ["kernel/syscall/a.ts", 'import * as fs from "../fs/calls.ts";'],
    ["kernel/boot.ts", 'import { x } from "./syscall/mod.ts";'],
    ["init/a.ts", 'import { x } from "../kernel/boot.ts";\nimport { y } from "../cli/a.ts";'],
    ["init/a.ts", 'void import("../kernel/proc/child.ts");'],
    ["cli/a.ts", 'import { x } from "../kernel/errno.ts";'],
    ["cli/a.ts", 'import type { x } from "../kernel/syscall/mod.ts";'],
    ["cli/a.ts", 'import table from "../kernel/syscall/table.json";'],
    ["ci/a.ts", 'import { x } from "../kernel/boot.ts";\nimport { y } from "oxc-parser";'],
  ];
  const refused: readonly (readonly [string, string])[] = [
    ["kernel/storage/a.ts", 'import { x } from "../fs/mod.ts";'],
    ["kernel/storage/a.ts", 'import type { x } from "../fs/mod.ts";'],
    ["kernel/fs/a.ts", 'import { x } from "../security/mod.ts";'],
    ["kernel/fs/a.ts", 'import { x } from "../storage/kv.ts";'],
    ["kernel/fs/a.ts", 'import { x } from "../storage/calls.ts";'],
    ["kernel/fs/a.ts", 'export { x } from "../syscall/mod.ts";'],
    ["kernel/fs/a.ts", 'void import("../syscall/mod.ts");'],
    ["kernel/fs/a.ts", 'import type { Kernel } from "../kernel.ts";'],
    ["kernel/fs/calls.ts", 'import { Kernel } from "../kernel.ts";'],
    ["kernel/fs/a.ts", 'import { x } from "../../ci/a.ts";'],
    ["kernel/fs/a.ts", 'import { x } from "oxc-parser";'],
    ["kernel/fs/a.test.ts", 'import { x } from "../storage/kv.ts";'],
    ["kernel/kernel.ts", 'import { Fs } from "./fs/mod.ts";'],
    ["kernel/errno.ts", 'import { x } from "./fs/mod.ts";'],
    ["kernel/boot.ts", 'import { x } from "./fs/inode.ts";'],
    ["cli/a.ts", 'import { x } from "../kernel/syscall/mod.ts";'],
    ["cli/a.ts", 'import { x } from "../kernel/boot.ts";'],
    ["cli/a.ts", 'import { x } from "../init/a.ts";'],
    ["init/a.ts", 'import { x } from "../kernel/proc/sandbox.ts";'],
    ["ci/a.ts", 'import { x } from "../kernel/fs/inode.ts";'],
  ];

  test.each(allowed)("%s may: %s", (path, text) => {
    expect(inOne(path, text).filter((found) => found.startsWith("direction"))).toEqual([]);
  });

  test.each(refused)("%s may not: %s", (path, text) => {
    expect(inOne(path, text)).toContain(`direction ${path}:3`);
  });
});

describe("domain", () => {
  test("has a front page and calls", () => {
    const files = { "kernel/alpha/a.ts": opening };
    const found = tidy({ files, roots: Object.keys(files), packages: [] });
    expect(found.map(({ path }) => path)).toEqual(["kernel/alpha/calls.ts", "kernel/alpha/mod.ts"]);
  });

  test("has parts with a front page, and nothing deeper", () => {
    expect(inOne("kernel/alpha/part/a.ts", "")).toEqual(["domain kernel/alpha/part/mod.ts:1"]);
    const deep = { "kernel/alpha/part/mod.ts": "", "kernel/alpha/part/deep/a.ts": "" };
    expect(findings(deep)).toEqual(["domain kernel/alpha/part/deep/a.ts:1"]);
  });

  test("has at most 16 files beside the named ones and tests", () => {
    const some = (count: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, at) => [`kernel/alpha/a${at}.ts`, `void ${at};`]),
      );
    const beside = { "kernel/alpha/limits.ts": "", "kernel/alpha/a.test.ts": "" };
    expect(findings({ ...some(16), ...beside })).toEqual([]);
    expect(findings(some(17))).toEqual(["domain kernel/alpha/mod.ts:1"]);
  });

  test("opens with a front page of 60 lines that only passes on", () => {
    const path = "kernel/alpha/mod.ts";
    expect(inOne(path, lines(58, ""))).toEqual([]);
    expect(inOne(path, lines(59, ""))).toEqual([`front-page ${path}:60`]);
    expect(inOne(path, "export interface Alpha {\n  a: 1;\n}")).toEqual([]);
    expect(inOne(path, "function f() {}\nf();")).toEqual([`front-page ${path}:3`]);
  });
});

describe("dead code", () => {
  test("a file is reached from a root, a test or a mention", () => {
    const files = {
      "init/start.ts": 'import { b } from "./b.ts";\nnew Worker("./c.ts");\nb();',
      "init/b.ts": "export function b() {}",
      "init/c.ts": "void 0;",
      "init/d.ts": "void 1;",
      "init/e.ts": "export const e = 1;",
      "init/e.test.ts": 'import { e } from "./e.ts";\nvoid e;',
    };
    expect(findings(files, ["init/start.ts"])).toEqual(["dead-file init/d.ts:1"]);
  });

  test("an export is imported, passed on or taken whole", () => {
    const used = {
      "init/a.ts": 'import { b } from "./b.ts";\nimport * as c from "./c.ts";\nvoid [b, c];',
      "init/b.ts": 'export { d as b } from "./d.ts";',
      "init/c.ts": "export const c = 1;",
      "init/d.ts": "export const d = 1;",
    };
    expect(findings(used)).toEqual([]);
    expect(inOne("init/a.ts", "export const a = 1;\nvoid a;")).toEqual(["dead-export init/a.ts:3"]);
  });

  test("a type may be exported for what the file exports, and by a front page", () => {
    expect(inOne("init/a.ts", "export type A = 1;")).toEqual(["dead-export init/a.ts:3"]);
    const user = { "init/b.ts": 'import { a } from "./a.ts";\nvoid a;' };
    const together = { ...user, "init/a.ts": "export type A = 1;\nexport const a: A = 1;" };
    expect(findings(together)).toEqual([]);
    expect(inOne("kernel/alpha/mod.ts", "export interface A {\n  a: 1;\n}")).toEqual([]);
  });
});

describe("duplicates", () => {
  const run = (count: number) => `{\n${statements(count)}\n}\n`;

  test("12 equal lines are found once, at the later place", () => {
    expect(findings({ "init/a.ts": run(20), "init/b.ts": `void 0;\n${run(20)}` })).toEqual([
      "duplicate init/b.ts:4",
    ]);
  });

  test("fewer lines, tests, imports and comments are not duplicates", () => {
    expect(findings({ "init/a.ts": run(9), "init/b.ts": `void 0;\n${run(9)}` })).toEqual([]);
    expect(findings({ "init/a.ts": run(20), "init/a.test.ts": run(20) })).toEqual([]);
    const comments = lines(20, "// The same again.");
    expect(findings({ "init/a.ts": `\n${comments}`, "init/b.ts": `\n${comments}` })).toEqual([]);
  });
});
