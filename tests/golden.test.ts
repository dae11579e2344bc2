/** What the command says without a kernel, word for word; `npm run table` writes the files anew. */
import { expect, test } from "bun:test";
import { goldenCases, goldenText } from "./golden.ts";

test.each(goldenCases().map((one) => [`fazt ${one.words.join(" ")}`, one] as const))(
  "%s (when this is meant to differ: npm run table)",
  async (_, one) => {
    expect(await goldenText(one)).toBe(one.text);
  },
);
