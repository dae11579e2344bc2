/** Replies for people: tables, records, lines, units, and foreign text made harmless. */
import { describe, expect, test } from "bun:test";
import { type Look, lineText, replyText, valueText, visible } from "./render.ts";
import { bytesText, durationText, heading, numberText, timeText } from "./unit.ts";

const now = new Date(2026, 10, 21, 12, 0, 0).getTime();
const look: Look = { columns: null, color: false, now };

describe("units", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KB"],
    [1_047_552, "1023 KB"],
    [1_048_575, "1.0 MB"],
    [15_728_640, "15 MB"],
  ])("%d bytes are %s", (bytes, text) => expect(bytesText(bytes)).toBe(text));

  test.each([
    [999, "999 ms"],
    [1500, "1.5 s"],
    [59_999, "1m"],
    [3_600_000, "1h"],
    [11_520_000, "3h 12m"],
    [90_061_000, "1d 1h"],
    [86_460_000, "1d"],
  ])("%d ms are %s", (ms, text) => expect(durationText(ms)).toBe(text));

  test("times are short and local", () => {
    expect(timeText(now - 1000, now)).toBe("11:59:59");
    expect(timeText(new Date(2026, 0, 3, 9, 5).getTime(), now)).toBe(" 3 Jan 09:05");
    expect(timeText(new Date(2024, 0, 3, 9, 5).getTime(), now)).toBe(" 3 Jan 2024");
  });

  test("a time is one by its name, whether at, until or since", () => {
    const at = new Date(2024, 0, 3).getTime();
    for (const field of ["createdAt", "restorableUntil", "waitingSince", "until"]) {
      expect(numberText(field, at, now)).toBe(" 3 Jan 2024");
    }
    expect(numberText("count", at, now)).toBe(String(at));
  });

  test("headings lose the unit", () => {
    expect(["rssBytes", "createdAt", "lastUsedAt", "ms"].map(heading)).toEqual([
      "rss",
      "created",
      "last used",
      "took",
    ]);
  });
});

describe("tables", () => {
  const rows = [
    { name: "ブログ", rssBytes: 1024, state: "running" },
    { name: "a", rssBytes: 31_457_280, state: null },
  ];
  const schema = {
    type: "array",
    items: { properties: { name: {}, state: {}, rssBytes: {} } },
  };

  test("columns in the schema's order, aligned by what a terminal shows, numbers to the right", () => {
    expect(valueText(rows, schema, look)).toEqual([
      "NAME    STATE       RSS",
      "ブログ  running  1.0 KB",
      "a       -         30 MB",
    ]);
  });

  test("columns of somebody's own have their own names and values", () => {
    const own = { type: "array", items: { type: "object" } };
    const note = [{ id: 1, createdAt: 1_795_298_629_786, sizeBytes: 2048, hint: "x" }];
    expect(valueText(note, own, look)).toEqual([
      "id      createdAt  sizeBytes  hint",
      " 1  1795298629786       2048  x",
    ]);
  });

  test("cut to the terminal's width, with a mark", () => {
    const lines = valueText(rows, schema, { ...look, columns: 12 });
    expect(lines).toEqual(["NAME    STA…", "ブログ  run…", "a       -…"]);
  });

  test("the only row, where it would be cut, stands as keys and values", () => {
    const narrow = { ...look, columns: 12 };
    const one = [{ name: "a", state: "running", rssBytes: 1024 }];
    expect(replyText(one, schema, narrow)).toEqual(["name   a", "state  running", "rss    1.0 KB"]);
    expect(replyText(one, schema, { ...look, columns: 40 })).toHaveLength(2);
    expect(replyText(one, schema, look)).toHaveLength(2);
    expect(replyText(rows, schema, narrow)).toHaveLength(3);
  });

  test("where there is no room for all, ids go first", () => {
    const wide = [{ name: "blog", id: "app_01m7xz6009ew8b0c470v8jwf8k", state: "running" }];
    expect(valueText(wide, null, { ...look, columns: 20 })).toEqual([
      "NAME  STATE",
      "blog  running",
    ]);
  });

  test("a list of nothing has no lines", () => {
    expect(valueText([], schema, look)).toEqual([]);
  });
});

test("an object is keys and values, what is nested below and indented", () => {
  const value = {
    ok: true,
    sizeBytes: 2048,
    tags: ["a", "b"],
    inner: { at: null },
    rows: [{ n: 1 }],
    env: {},
  };
  expect(valueText(value, null, look)).toEqual([
    "ok    yes",
    "size  2.0 KB",
    "tags  a, b",
    "inner",
    "  at  -",
    "rows",
    "  N",
    "  1",
    "env   {}",
  ]);
});

test("a value that may be anything is shown as JSON", () => {
  const schema = { type: "object", properties: { value: { description: "any JSON value" } } };
  expect(valueText({ value: { createdAt: 1 } }, schema, look)).toEqual(['value  {"createdAt":1}']);
});

test("what is to be done stands below its row, whole", () => {
  const schema = { type: "array", items: { properties: { check: {}, says: {}, hint: {} } } };
  const rows = [
    { check: "dns", says: "it is at 192.0.2.1", hint: null },
    { check: "http", says: "port 80 cannot be reached", hint: "let port 80 through the firewall" },
  ];
  expect(valueText(rows, schema, { ...look, columns: 24 })).toEqual([
    "CHECK  SAYS",
    "dns    it is at 192.0.2…",
    "http   port 80 cannot b…",
    "  hint: let port 80 through the firewall",
  ]);
});

test("flat objects in a cell stand side by side", () => {
  const schema = { type: "array", items: { properties: { name: {}, addresses: {} } } };
  const addresses = [
    { address: "192.0.2.2", prefix: 24, scope: null },
    { address: "fd00::2", prefix: 64, scope: "private" },
  ];
  expect(valueText([{ name: "eth0", addresses }], schema, look)).toEqual([
    "NAME  ADDRESSES",
    "eth0  192.0.2.2 24 -, fd00::2 64 private",
  ]);
});

test("a bare done says so; null says nothing", () => {
  expect(valueText({ done: true }, null, look)).toEqual(["done"]);
  expect(valueText(null, null, look)).toEqual([]);
});

test("a log line is its time, level and text", () => {
  const line = { id: 7, at: now, app: "blog", level: "warn", text: "low\x1b[2J\nagain" };
  expect(lineText(line, null, look)).toBe("12:00:00  warn   low\\x1b[2J\n  again");
});

test("a line of the access log is a sentence; what is none stays as it is", () => {
  const text = (said: object | string) => {
    const shown = typeof said === "string" ? said : JSON.stringify(said);
    const line = { id: 1, at: now, app: "access", level: "info", text: shown };
    return lineText(line, null, look).slice("12:00:00  info   ".length);
  };
  const asked = { id: "1k80", host: "a.example", method: "GET", path: "/x", status: 404 };
  expect(text({ ...asked, bytes: 2048, ms: 1.3, app: "a" })).toBe(
    "GET a.example/x → 404, 2.0 KB, 1.3 ms, 1k80",
  );
  expect(text({ ...asked, bytes: null, ms: 1, client: "192.0.2.1", n: 3, app: null })).toBe(
    "GET a.example/x → 404 × 3, 1 ms, from 192.0.2.1, 1k80",
  );
  expect(text({ app: "a", status: 200, n: 9 })).toBe("200 × 9, not listed one by one");
  for (const other of ["{", "42", '{"a":1}']) expect(text(other)).toBe(other);
});

test("control characters and marks that turn text around become visible", () => {
  expect(visible("a\x1b]0;x\x07b\u202ec\u009b")).toBe("a\\x1b]0;x\\x07b\\x202ec\\x9b");
  expect(valueText([{ name: "x\x1b[31m" }], null, look)[1]).toBe("x\\x1b[31m");
});
