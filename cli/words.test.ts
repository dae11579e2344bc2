/** Lines of the shell as words, and what completion makes of them. */
import { describe, expect, test } from "bun:test";
import { commandTree } from "./command.ts";
import { complete } from "./completion.ts";
import { localCommands } from "./local.ts";
import { table } from "./table.ts";
import { quoted } from "./value.ts";
import { readLine, splitWords } from "./words.ts";

describe("words", () => {
  test.each([
    ["app ls", ["app", "ls"]],
    ["  app   ls  ", ["app", "ls"]],
    ["fs cat '/a b'", ["fs", "cat", "/a b"]],
    ['say "a \\"b\\" \\n"', ["say", 'a "b" \\n']],
    ["a\\ b c", ["a b", "c"]],
    ["''", [""]],
    ["", []],
  ])("%s", (text, words) => expect(splitWords(text)).toEqual(words));

  test("a quote that is not closed is refused", () => {
    expect(() => splitWords("a 'b")).toThrow("a quote is not closed: '");
  });

  test("the word being typed is apart", () => {
    expect(readLine("app in")).toEqual({ words: ["app"], last: "in", open: null });
    expect(readLine("app ")).toEqual({ words: ["app"], last: "", open: null });
  });

  test("a quoted word is read as it was", () => {
    for (const word of ["plain", "a b", "it's", "$HOME `x` \\", "", '"', "ü"]) {
      expect(splitWords(quoted(word))).toEqual([word]);
    }
  });
});

describe("completion", () => {
  const root = commandTree(table, localCommands());
  const words = (before: string[], last: string) =>
    complete(root, before, last).candidates.map(({ word }) => word);

  test.each([
    [[], "sto", ["storage"]],
    [["storage"], "k", ["kv"]],
    [["storage", "kv"], "s", ["set"]],
    [["--host", "h", "storage", "kv"], "s", ["set"]],
    [["proc", "logs", "blog"], "--le", ["--level"]],
    [["proc", "logs", "blog", "--level"], "wa", ["warn"]],
    [["app", "deploy", "."], "--no", ["--no-build"]],
    [["man", "app"], "dep", ["deploy"]],
    [["completion"], "", ["bash", "zsh", "fish"]],
    [["nothing"], "", []],
    [[], "__", []],
  ])("%p %p", (before, last, expected) => {
    expect(words(before, last)).toEqual(expected);
  });

  test.each([
    [["app", "info"], "apps"],
    [["app", "env", "set"], "apps"],
    [["fs", "ls"], "paths"],
    [["app", "deploy"], "files"],
    [["security", "root-pass", "--password-file"], "files"],
    [["fs", "write", "/home/a"], "files"],
    [["app", "ls"], null],
  ] as const)("%p also offers %p", (before, also) => {
    expect(complete(root, before, "").also).toBe(also);
  });
});
