/** Paths: what is normal, what is refused, and that nothing ever leaves its directory. */
import { describe, expect, test } from "bun:test";
import { SysError } from "../errno.ts";
import { basename, below, components, join, manifestPathFault, normalise, parent } from "./path.ts";

function refusal(path: string): SysError {
  try {
    normalise(path);
  } catch (error) {
    if (error instanceof SysError) return error;
    throw error;
  }
  throw new Error(`not refused: ${path}`);
}

describe("normalise", () => {
  test.each([
    ["/", "/"],
    ["//", "/"],
    ["/home/", "/home"],
    ["//home///a//", "/home/a"],
    ["/./home/./a.txt", "/home/a.txt"],
    ["/home/…/Ünïcode 漢字", "/home/…/Ünïcode 漢字"],
    ["/home/a\\b", "/home/a\\b"],
    ["/home/...", "/home/..."],
    ["/home/..a", "/home/..a"],
    [`/${"x".repeat(255)}`, `/${"x".repeat(255)}`],
  ])("%p is %p", (path, normal) => {
    expect(normalise(path)).toBe(normal);
    expect(normalise(normal)).toBe(normal);
  });

  test.each([
    ["", "not absolute"],
    ["home/x", "not absolute"],
    ["/home/../etc", 'holds ".."'],
    ["/..", 'holds ".."'],
    ["/a\0b", "NUL"],
    ["/a\ud800", "Unicode"],
    [`/${"x".repeat(256)}`, "255"],
    [`/${"ü".repeat(128)}`, "255"],
    [`${"/abcdefg".repeat(600)}`, "4096"],
  ])("%p is refused: %s", (path, why) => {
    const error = refusal(path);
    expect(error.code).toBe("EINVAL");
    expect(error.message).toContain(why);
    expect(error.hint).not.toBeNull();
    expect(error.message).not.toContain("\0");
    expect(error.message.length).toBeLessThan(400);
  });

  test("whatever is accepted is normal and stays below the root", () => {
    const pieces = ["a", "..", ".", "", "/", "\0", "ü", "..a", "%2e%2e", "\\", "a".repeat(300)];
    let seed = 7;
    const chance = (n: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % n;
    };
    let accepted = 0;
    for (let round = 0; round < 5000; round++) {
      const path = `/${Array.from({ length: chance(6) }, () => pieces[chance(pieces.length)]).join("/")}`;
      let normal: string;
      try {
        normal = normalise(path);
      } catch (error) {
        expect(error).toBeInstanceOf(SysError);
        continue;
      }
      accepted++;
      expect(normal).toStartWith("/");
      expect(normalise(normal)).toBe(normal);
      for (const name of components(normal)) expect(["", ".", ".."]).not.toContain(name);
      expect(below("/", normal)).toBe(normal);
      if (normal !== "/") expect(join(parent(normal), `/${basename(normal)}`)).toBe(normal);
    }
    expect(accepted).toBeGreaterThan(500);
  });
});

test.each([
  ["/home", "/home", "/"],
  ["/home", "/home/a", "/a"],
  ["/home", "/homer", null],
  ["/home", "/hom", null],
  ["/", "/x", "/x"],
])("below %s, %s is %p", (directory, path, rest) => expect(below(directory, path)).toBe(rest));

describe("paths of a manifest", () => {
  test.each(["index.html", "a/b/c.txt", "ü/漢字.txt", "..a/b..", "a b", "%2e%2e/x", "...", ".env"])(
    "%p may be one",
    (path) => expect(manifestPathFault(path)).toBeNull(),
  );

  test.each([
    "",
    "/abs",
    "..",
    "../x",
    "a/../b",
    "a/..",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "a\\b",
    "..\\x",
    "a\0",
    "\ud800",
    "x".repeat(256),
    "abcdefg/".repeat(600),
  ])("%p may not", (path) => expect(manifestPathFault(path)).toBeString());
});
