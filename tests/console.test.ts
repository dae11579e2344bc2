/** The console's screens, line by line; `npm run table` writes the files anew. */
import { expect, test } from "bun:test";
import { screenCases, screenText } from "./console.ts";

const cases = screenCases();

test.each(cases.map((one) => [one.path.split("/").at(-1) ?? "", one] as const))(
  "%s (when this is meant to differ: npm run table)",
  (_, one) => {
    expect(screenText(one)).toBe(one.text);
    const [, columns = 0, rows = 0] = (/^> (\d+)x(\d+)/.exec(one.head) ?? []).map(Number);
    const lines = one.text.split("\n").slice(1, -1);
    expect(lines.length).toBeLessThanOrEqual(rows);
    for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
  },
);
