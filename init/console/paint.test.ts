/** What is sent to a terminal: only what differs; on a dumb one only what is new. */
import { expect, test } from "bun:test";
import { claimed, large, stateAfter } from "../../tests/console.ts";
import type { Look } from "./look.ts";
import { paint } from "./paint.ts";
import { view } from "./view.ts";

const dumb: Look = { ...large, moves: false, unicode: false };
const picture = (look: Look, facts = claimed, keys = "") => view(look, stateAfter(facts, keys));

test("nothing when nothing has changed, one line when one has", () => {
  const before = picture(large);
  expect(paint(large, before, picture(large))).toBe("");
  const later = picture(large, { ...claimed, memory: { usedBytes: 1e8, totalBytes: 1e9 } });
  const sent = paint(large, before, later);
  expect(sent).toContain("\x1b[6;1H");
  expect(sent.split("\x1b[K")).toHaveLength(2);
});

test("the cursor is shown where something is typed, and hidden elsewhere", () => {
  const form = picture(large, claimed, "\rab");
  expect(paint(large, null, form)).toEndWith("\x1b[5;19H\x1b[?25h");
  expect(paint(large, form, picture(large))).not.toContain("\x1b[?25h");
});

test("a dumb terminal is told what is new, without a control sequence", () => {
  const first = paint(dumb, null, picture(dumb));
  expect(first).toContain("os.example.com");
  expect(first.replace(/[ -~\r\n]/g, "")).toBe("");
  const busier = { ...claimed, memory: { usedBytes: 1e8, totalBytes: 1e9 }, uptimeMs: 1 };
  expect(paint(dumb, picture(dumb), picture(dumb, busier))).toBe("");
  const [app, ...rest] = claimed.apps;
  const worse = {
    ...claimed,
    apps: [{ ...app, name: "notes", state: "crashed", reason: "x", rssBytes: 0 }, ...rest],
  };
  const told = paint(dumb, picture(dumb), picture(dumb, worse));
  expect(told.split("\r\n").filter((line) => line !== "")).toHaveLength(1);
  expect(told).toContain("notes");
});

test("a dialogue on a dumb terminal goes down field by field", () => {
  let sent = "";
  let shown = picture(dumb, { ...claimed, claimed: false }, "");
  for (const keys of ["\r", "\ra", "\rab", "\rab.c\r", "\rab.c\rx"]) {
    const next = picture(dumb, { ...claimed, claimed: false }, keys);
    sent += paint(dumb, shown, next);
    shown = next;
  }
  expect(sent).toContain("\r Domain         ab");
  expect(sent).toContain("\r\n\r E-mail");
});
