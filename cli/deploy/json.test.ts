/** Where a text stops being JSON, as a table. */
import { expect, test } from "bun:test";
import { SysError } from "../../kernel/errno.ts";
import { parseJson } from "./json.ts";

test.each([
  ['{\n  "spa": tru\n}', 'line 2, column 10: expected value, found "tru\\n}"'],
  ['{"a": 1,}', 'line 1, column 9: expected a quoted key, found "}"'],
  ["{'a': 1}", `line 1, column 2: expected a quoted key or }, found "'a': 1}"`],
  ['{"a" 1}', 'line 1, column 6: expected :, found "1}"'],
  ['{"a": [1 2]}', 'line 1, column 10: expected , or ], found "2]}"'],
  ['{"a": [1, ]}', 'line 1, column 11: expected value, found "]}"'],
  ['{"a": "x\ny"}', 'line 1, column 7: expected value, found "\\"x\\ny\\"}"'],
  ['{"a": 01}', 'line 1, column 7: expected value, found "01}"'],
  ['{"a": 1} x', 'line 1, column 10: expected nothing more, found "x"'],
  ["{\n  // hi\n}", 'line 2, column 3: expected a quoted key or }, found "// hi\\n}"'],
  ['{"a": {"b": [', "line 1, column 14: expected value or ], found the end"],
  ["", "line 1, column 1: expected value, found the end"],
])("%j", (text, state) => {
  expect(() => parseJson(text, "app.json")).toThrow(
    new SysError("EINVAL", `cannot read "app.json": ${state}`),
  );
});

test("what is JSON is parsed", () => {
  const text = '\n{"a": [1, -2.5e3, "\\u00e9\\n", null, true, {}, []], "b": {"c": false}}\n';
  expect(parseJson(text, "x")).toEqual(JSON.parse(text));
});
