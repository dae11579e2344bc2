/** Walking real folders, with everything a folder can hold that a release cannot. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import { ignoreRules } from "./ignore.ts";
import { limits } from "./limits.ts";
import { walkApp } from "./tree.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fazt-tree-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function put(path: string, text = "x"): void {
  mkdirSync(join(dir, path, ".."), { recursive: true });
  writeFileSync(join(dir, path), text);
}

const walk = (rules = "") => walkApp(dir, [""], ignoreRules(rules));
const paths = (rules?: string) => walk(rules).map(({ path }) => path);

function refused(work: () => unknown): { code: string; message: string } {
  try {
    work();
  } catch (error) {
    if (error instanceof SysError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("nothing was refused");
}

test("every file, sorted, but for what stays behind", () => {
  for (const path of ["b.html", "a/z.css", "a/node_modules/x.js", ".env", ".well-known/x"])
    put(path);
  put("a/drafts/d.html");
  expect(paths("drafts/")).toEqual([".well-known/x", "a/z.css", "b.html"]);
});

test("sizes and the executable bit", () => {
  put("run.sh", "12345");
  put("page.html", "");
  Bun.spawnSync(["chmod", "755", join(dir, "run.sh")]);
  expect(walk().map(({ sizeBytes, mode }) => [sizeBytes, mode])).toEqual([
    [0, 0o644],
    [5, 0o755],
  ]);
});

describe("symbolic links", () => {
  test("inside the app stand for what they lead to", () => {
    put("real/page.html", "inside");
    symlinkSync("real/page.html", join(dir, "link.html"));
    symlinkSync("real", join(dir, "folder"));
    expect(paths()).toEqual(["folder/page.html", "link.html", "real/page.html"]);
    expect(walk()[0]?.sizeBytes).toBe(6);
  });

  test.each([
    ["/etc/passwd", "symbolic link leaves the app"],
    ["..", "symbolic link leaves the app"],
    [".", "symbolic link leads to a folder that holds it"],
    ["missing", "symbolic link leads nowhere"],
    ["x", "symbolic link leads nowhere"],
  ])("to %s are refused", (target, state) => {
    symlinkSync(target, join(dir, "x"));
    expect(refused(walk)).toEqual({ code: "EINVAL", message: `cannot deploy "x": ${state}` });
  });

  test("to a sibling whose name begins alike leave the app", () => {
    mkdirSync(`${dir}-other`);
    symlinkSync(`${dir}-other`, join(dir, "x"));
    expect(refused(walk).message).toBe('cannot deploy "x": symbolic link leaves the app');
    rmSync(`${dir}-other`, { recursive: true });
  });

  test("that stay behind are not followed", () => {
    symlinkSync("/etc/passwd", join(dir, "x"));
    put("y");
    expect(paths("x")).toEqual(["y"]);
  });
});

test("what is no file is refused by its kind", () => {
  Bun.spawnSync(["mkfifo", join(dir, "p")]);
  expect(refused(walk).message).toBe('cannot deploy "p": a pipe, not a file');
});

test("names that are not UTF-8, and backslashes, are refused", () => {
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/a`), Buffer.from([0xff])]), "x");
  expect(refused(walk)).toMatchObject({ code: "EINVAL" });
  expect(refused(walk).message).toEndWith("the name is not UTF-8");
  rmSync(dir, { recursive: true });
  put("a\\b");
  expect(refused(walk).message).toEndWith("the name holds a backslash");
});

test("a file over the limit is refused before it is read", () => {
  put("big");
  truncateSync(join(dir, "big"), limits.fileBytesMax + 1);
  expect(refused(walk).code).toBe("EFBIG");
});

test("all files together have a limit", () => {
  for (let i = 0; i < 6; i++) {
    put(`f${i}`);
    truncateSync(join(dir, `f${i}`), limits.fileBytesMax);
  }
  expect(refused(walk).code).toBe("EFBIG");
});

test("100,000 entries are refused early", () => {
  mkdirSync(join(dir, "many"));
  const name = (i: number) => join(dir, "many", `${i}`);
  for (let i = 0; i <= limits.filesMax; i++) writeFileSync(name(i), "");
  expect(refused(walk)).toEqual({
    code: "EINVAL",
    message: `cannot deploy more than ${limits.filesMax} files`,
  });
});

test("folders within folders have a limit", () => {
  put(`${"d/".repeat(limits.depthMax + 1)}x`);
  expect(refused(walk).message).toEndWith(`more than ${limits.depthMax} folders deep`);
});
