/** The boot's words, and which target a failure belongs to. */
import { expect, test } from "bun:test";
import { SysError } from "../../kernel/errno.ts";
import { current, reachedLine, troubleLines, troubleOf } from "./target.ts";

test("a failure belongs to the target after the last one reached", () => {
  expect(current([])).toBe("storage");
  expect(current(["storage", "security"])).toBe("fs");
  expect(current(["storage", "security", "fs", "apps", "proc", "net", "console"])).toBeNull();
});

test("says what is reached, and why it stays there", () => {
  expect(reachedLine("storage", 12.4)).toBe("[  ok  ] storage   database          12 ms");
  const error = new SysError("EBADMSG", 'cannot open "data.db": not a database', {
    hint: "restore",
  });
  expect(troubleLines(troubleOf(error, "storage", 0))).toEqual([
    '[failed] storage   EBADMSG: cannot open "data.db": not a database',
    "         restore",
  ]);
  expect(troubleOf(new Error("odd"), "net", 5)).toMatchObject({
    code: "EIO",
    message: "odd",
    at: 5,
  });
});
