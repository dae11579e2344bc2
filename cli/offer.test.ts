/** What Tab asks the kernel for: the names of a beginning, however many come before them. */
import { expect, test } from "bun:test";
import { before } from "./offer.ts";

const bytes = (text: string): Buffer => Buffer.from(text);

test.each(["a", "file-7", "z", "é", "\u{e000}", "a\u{1f600}", "0"])(
  "every name that begins with %p comes after what is asked for, and its neighbour does not",
  (beginning) => {
    const after = bytes(before(beginning));
    for (const rest of ["", "a", "\u{10ffff}"])
      expect(Buffer.compare(bytes(beginning + rest), after)).toBe(1);
    const points = [...beginning];
    const last = points.pop()?.codePointAt(0) ?? 0;
    const lower = points.join("") + String.fromCodePoint(last === 0xe000 ? 0xd7ff : last - 1);
    for (const name of [lower, `${lower}zzz`, points.join("")])
      expect(Buffer.compare(bytes(name), after)).toBe(-1);
  },
);

test("without a beginning all names are asked for", () => {
  expect(before("")).toBe("");
});
