/** Lines of an app's output: none is taken for the kernel's own. */
import { expect, test } from "bun:test";
import { ownLine } from "./output.ts";

test("what looks like the kernel's word about an app is marked as the app's", () => {
  for (const before of ["", " ", "\t", "\u001b", "\u200b", "\r"]) {
    const text = `${before}[kernel] stopped by the owner`;
    expect(ownLine(text)).toBe(`[app] ${text}`);
  }
  for (const text of ["", "hello", "the [kernel] said", "[kernels]"]) {
    expect(ownLine(text)).toBe(text);
  }
});
