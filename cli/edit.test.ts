/** Keys as terminals send them, and lines as they are typed, searched and completed. */
import { describe, expect, test } from "bun:test";
import { edited, editOf, emptyEdit } from "./edit.ts";
import { type Key, readKeys } from "./key.ts";
import { completedWith, newPrompt, pressed, promptLabel } from "./prompt.ts";

const names = (text: string) =>
  readKeys(text).keys.map((key) => (key.kind === "name" ? key.name : key));

describe("keys", () => {
  test.each([
    ["\r", ["enter"]],
    ["\r\n", ["enter"]],
    ["\x7f\b", ["backspace", "backspace"]],
    ["\x1b[A\x1bOB\x1b[1;5C\x1bb", ["up", "down", "word-right", "word-left"]],
    ["\x1b[3~\x1b[5~\x1b[H\x1b[Z", ["delete", "page-up", "home", "back-tab"]],
    ["\x03\x04\x12", ["ctrl-c", "ctrl-d", "ctrl-r"]],
    ["\x1b[24;80R", [{ kind: "cursor", row: 24, column: 80 }]],
    ["\x1b[99q", ["unknown"]],
    ["grün\t", [{ kind: "text", text: "grün" }, "tab"]],
  ] as const)("%j", (text, expected) => {
    expect(names(text)).toEqual([...expected] as ReturnType<typeof names>);
  });

  test("what is cut is handed back", () => {
    expect(readKeys("a\x1b[1;")).toEqual({ keys: [{ kind: "text", text: "a" }], rest: "\x1b[1;" });
    expect(readKeys("\x1b")).toEqual({ keys: [], rest: "\x1b" });
  });
});

const typed = (text: string, start = emptyEdit) =>
  readKeys(text).keys.reduce((line, key) => edited(line, key) ?? line, start);

test.each([
  ["abc\x7f", { text: "ab", at: 2 }],
  ["ab\x1b[Dx", { text: "axb", at: 2 }],
  ["one two\x17", { text: "one ", at: 4 }],
  ["one two\x01\x0b", { text: "", at: 0 }],
  ["a👩‍👩‍👧\x7f", { text: "a", at: 1 }],
  ["äöü\x1b[D\x1b[D\x1b[3~", { text: "äü", at: 1 }],
] as const)("editing %j", (text, expected) => expect(typed(text)).toEqual(expected));

describe("the prompt", () => {
  const history = ["app ls", "proc logs blog", "app info blog"];
  const after = (text: string) =>
    readKeys(text).keys.reduce(
      (state, key: Key) => pressed(state.prompt, key),
      pressed(newPrompt(history), { kind: "text", text: "" }),
    );

  test("walks the history and comes back to what was being typed", () => {
    expect(after("dr\x1b[A\x1b[A").prompt.edit.text).toBe("proc logs blog");
    expect(after("dr\x1b[A\x1b[A\x1b[B\x1b[B").prompt.edit.text).toBe("dr");
    expect(after("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A").prompt.edit.text).toBe("app info blog");
  });

  test("searches backwards, further, and gives up", () => {
    const found = after("\x12blog");
    expect(found.prompt.edit.text).toBe("proc logs blog");
    expect(promptLabel(found.prompt, "fazt> ")).toBe("(search) blog: ");
    expect(after("\x12blog\x12").prompt.edit.text).toBe("app info blog");
    expect(after("\x12blog\x12\x12").prompt.edit.text).toBe("app info blog");
    expect(after("x\x12blog\x07").prompt.edit.text).toBe("x");
    const line = after("\x12blog\r");
    expect([line.asked, line.prompt.edit.text]).toEqual(["line", "proc logs blog"]);
    expect(promptLabel(after("\x12zzz").prompt, "")).toBe("(search, not found) zzz: ");
  });

  test("ends at Ctrl-D on an empty line only", () => {
    expect(after("\x04").asked).toBe("end");
    expect(after("a\x01\x04").prompt.edit.text).toBe("");
  });

  test("fills in what is certain, else shows what there is", () => {
    const line = { ...newPrompt([]), edit: editOf("net ro") };
    const one = completedWith(line, { words: ["route "], last: "ro" });
    expect([one.prompt.edit.text, one.choices]).toEqual(["net route ", []]);
    const two = completedWith(line, { words: ["rob", "rot"], last: "ro" });
    expect([two.prompt.edit.text, two.choices]).toEqual(["net ro", ["rob", "rot"]]);
  });
});
