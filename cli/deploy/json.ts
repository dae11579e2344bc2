/**
 * JSON with an address: where a text stops being JSON (RFC 8259), as line and column. The runtime's
 * own parser says what it met but not where.
 */
import { SysError } from "../../kernel/errno.ts";

/** Tokens of JSON; sticky, so that a match begins exactly where the last one ended. */
const token =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON strings hold none (RFC 8259, 7)
  /[\t\n\r ]*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|(?:true|false|null)(?!\w)))/y;

type Expect = "value" | "value or ]" | "key or }" | "key" | ":" | ", or ]" | ", or }" | "end";

/** The offset of the first character that cannot be part of JSON; the text is known to be bad. */
function faultAt(text: string): { offset: number; expected: Expect } {
  const open: ("{" | "[")[] = [];
  let expected: Expect = "value";
  const afterValue = (): Expect => {
    const inner = open.at(-1);
    if (inner === undefined) return "end";
    return inner === "{" ? ", or }" : ", or ]";
  };
  token.lastIndex = 0;
  for (;;) {
    const from = token.lastIndex;
    const match = token.exec(text);
    const blank = /^[\t\n\r ]*/.exec(text.slice(from))?.[0].length ?? 0;
    const next: Expect | "value done" | null = match === null ? null : step(match, expected, open);
    if (next === null) return { offset: from + blank, expected };
    expected = next === "value done" ? afterValue() : next;
  }
}

/** What may follow a token where `expected` was; null when the token may not stand there. */
function step(
  [, mark, string]: RegExpExecArray,
  expected: Expect,
  open: ("{" | "[")[],
): Expect | "value done" | null {
  const wantsValue = expected === "value" || expected === "value or ]";
  if (mark === "{" || mark === "[") {
    if (!wantsValue) return null;
    open.push(mark);
    return mark === "{" ? "key or }" : "value or ]";
  }
  if (mark === "}" || mark === "]") {
    if (!expected.endsWith(mark)) return null;
    open.pop();
    return "value done";
  }
  if (mark === ",") {
    if (expected === ", or }") return "key";
    return expected === ", or ]" ? "value" : null;
  }
  if (mark === ":") return expected === ":" ? "value" : null;
  if (string !== undefined && expected.startsWith("key")) return ":";
  return wantsValue ? "value done" : null;
}

/** The value a text is. EINVAL with line, column and what was expected there. */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const { offset, expected } = faultAt(text);
    const before = text.slice(0, offset);
    const line = before.split("\n").length;
    const column = offset - before.lastIndexOf("\n");
    const met = offset >= text.length ? "the end" : JSON.stringify(text.slice(offset).slice(0, 12));
    const wanted = expected === "end" ? "nothing more" : expected.replace(/^key/, "a quoted key");
    throw new SysError(
      "EINVAL",
      `cannot read "${file}": line ${line}, column ${column}: expected ${wanted}, found ${met}`,
      { hint: "JSON has no comments, no single quotes and no comma after the last entry" },
    );
  }
}
