/** Ranges, content coding, conditions and media types, as tables. */
import { describe, expect, test } from "bun:test";
import {
  type Coding,
  choose,
  contentTypeOf,
  evaluate,
  isCompressible,
  parseRange,
  rangeApplies,
} from "./http.ts";

describe("range", () => {
  const parts = (...ranges: [number, number][]) => ({
    kind: "parts",
    parts: ranges.map(([start, end]) => ({ start, end })),
  });
  const whole = { kind: "whole" };
  const unsatisfiable = { kind: "unsatisfiable" };

  test.each([
    ["bytes=0-0", 1000, parts([0, 1])],
    ["bytes=0-99", 1000, parts([0, 100])],
    ["BYTES=0-99", 1000, parts([0, 100])],
    ["bytes=900-", 1000, parts([900, 1000])],
    ["bytes=900-5000", 1000, parts([900, 1000])],
    ["bytes=-5", 1000, parts([995, 1000])],
    ["bytes=-5000", 1000, parts([0, 1000])],
    ["bytes=0-0, 5-6 ,-1", 1000, parts([0, 1], [5, 7], [999, 1000])],
    ["bytes=0-0,,5-6", 1000, parts([0, 1], [5, 7])],
    ["bytes=5-6,0-0", 1000, parts([5, 7], [0, 1])],
    ["bytes=0-0,2000-3000", 1000, parts([0, 1])],
    ["bytes=1000-", 1000, unsatisfiable],
    ["bytes=2000-3000,1000-", 1000, unsatisfiable],
    ["bytes=-0", 1000, unsatisfiable],
    ["bytes=0-", 0, unsatisfiable],
    ["bytes=-5", 0, whole],
    ["bytes=99999999999999999999-", 1000, unsatisfiable],
    ["bytes=5-4", 1000, whole],
    ["bytes=", 1000, whole],
    ["bytes=-", 1000, whole],
    ["bytes=a-b", 1000, whole],
    ["bytes=0-1-2", 1000, whole],
    ["bytes=1.5-2", 1000, whole],
    ["items=0-1", 1000, whole],
    ["0-1", 1000, whole],
    ["bytes=0-999,0-999", 1000, whole],
    ["bytes=0-600,400-999", 1000, whole],
    [`bytes=${Array.from({ length: 17 }, (_, i) => `${i * 2}-${i * 2}`).join()}`, 1000, whole],
  ])("%s of %d", (field, sizeBytes, answer) =>
    expect(parseRange(field, sizeBytes)).toEqual(answer as ReturnType<typeof parseRange>),
  );
});

describe("content coding", () => {
  const all: Coding[] = ["br", "zstd", "gzip"];
  test.each([
    [null, all, "identity"],
    ["", all, "identity"],
    ["gzip, deflate, br, zstd", all, "br"],
    ["gzip, deflate, br, zstd", ["gzip"], "gzip"],
    ["gzip, deflate, br, zstd", [], "identity"],
    ["gzip;q=1.0, br;q=0.5", all, "gzip"],
    ["br;q=0, gzip", all, "gzip"],
    ["zstd", all, "zstd"],
    ["deflate", all, "identity"],
    ["*", all, "br"],
    ["*;q=0.1, gzip;q=0.2", all, "gzip"],
    ["gzip;q=0, *", all, "br"],
    ["identity", all, "identity"],
    ["identity;q=1, *;q=0", all, "identity"],
    ["identity;q=0.5, gzip;q=0.2", all, "identity"],
    ["identity;q=0", all, null],
    ["identity;q=0, gzip", all, "gzip"],
    ["identity;q=0, gzip", [], null],
    ["*;q=0", all, null],
    ["gzip, *;q=0", [], null],
    ["gzip, *;q=0", all, "gzip"],
    ["X-GZIP", all, "gzip"],
    ["GZIP;Q=0.5", all, "gzip"],
    ["br;q=nonsense, gzip;q=0.1", all, "gzip"],
    ["br;q=2, gzip;q=0.001", all, "gzip"],
    [" gzip ; q=0.3 ,, ", all, "gzip"],
  ] as [string | null, Coding[], string | null][])("%p of %p is %p", (field, available, expected) =>
    expect(choose(field, available)).toBe(expected as ReturnType<typeof choose>),
  );
});

describe("conditions", () => {
  const modifiedAt = Date.parse("Sat, 21 Nov 2026 01:00:00 GMT") + 500;
  const same = "Sat, 21 Nov 2026 01:00:00 GMT";
  const earlier = "Sat, 21 Nov 2026 00:59:59 GMT";
  const later = "Sat, 21 Nov 2026 01:00:01 GMT";
  const validators = { etag: '"abc"', modifiedAt };

  test.each([
    [{}, "send"],
    [{ "if-none-match": '"abc"' }, "not-modified"],
    [{ "if-none-match": 'W/"abc"' }, "not-modified"],
    [{ "if-none-match": '"x", "abc"' }, "not-modified"],
    [{ "if-none-match": "*" }, "not-modified"],
    [{ "if-none-match": '"x"' }, "send"],
    [{ "if-none-match": "abc" }, "send"],
    [{ "if-none-match": '"abc-br"' }, "send"],
    [{ "if-modified-since": same }, "not-modified"],
    [{ "if-modified-since": later }, "not-modified"],
    [{ "if-modified-since": earlier }, "send"],
    [{ "if-modified-since": "nonsense" }, "send"],
    [{ "if-modified-since": "12" }, "send"],
    [{ "if-none-match": '"x"', "if-modified-since": later }, "send"],
    [{ "if-match": '"abc"' }, "send"],
    [{ "if-match": "*" }, "send"],
    [{ "if-match": 'W/"abc"' }, "failed"],
    [{ "if-match": '"x"' }, "failed"],
    [{ "if-match": '"x"', "if-none-match": '"abc"' }, "failed"],
    [{ "if-match": '"abc"', "if-none-match": '"abc"' }, "not-modified"],
    [{ "if-unmodified-since": earlier }, "failed"],
    [{ "if-unmodified-since": same }, "send"],
    [{ "if-match": '"abc"', "if-unmodified-since": earlier }, "send"],
    [{ "if-modified-since": "Saturday, 21-Nov-26 01:00:00 GMT" }, "not-modified"],
    [{ "if-modified-since": "Sat Nov 21 01:00:00 2026" }, "not-modified"],
    [{ "if-modified-since": "Sat Nov 21 00:59:59 2026" }, "send"],
  ] as [Record<string, string>, string][])("%p: %s", (headers, verdict) =>
    expect(evaluate(new Headers(headers), validators)).toBe(verdict as ReturnType<typeof evaluate>),
  );

  test.each([
    [null, true],
    ['"abc"', true],
    ['W/"abc"', false],
    ['"x"', false],
    [same, true],
    [earlier, false],
    [later, false],
    ["nonsense", false],
  ])("If-Range %p: %p", (field, applies) => expect(rangeApplies(field, validators)).toBe(applies));
});

describe("media types", () => {
  test.each([
    ["index.html", "text/html; charset=utf-8"],
    ["a/b.min.js", "text/javascript; charset=utf-8"],
    ["x.MJS", "text/javascript; charset=utf-8"],
    ["s.css", "text/css; charset=utf-8"],
    ["d.json", "application/json"],
    ["app.webmanifest", "application/manifest+json"],
    ["i.svg", "image/svg+xml"],
    ["m.wasm", "application/wasm"],
    ["codicon.ttf", "font/ttf"],
    ["LICENSE", "text/plain; charset=utf-8"],
    ["x.constructor", "application/octet-stream"],
    ["noending", "application/octet-stream"],
    [".html", "application/octet-stream"],
    ["a.tar.gz", "application/gzip"],
  ])("%s is %s", (path, type) => expect(contentTypeOf(path)).toBe(type));

  test.each([
    ["text/html; charset=utf-8", true],
    ["application/json", true],
    ["application/manifest+json", true],
    ["image/svg+xml", true],
    ["application/wasm", true],
    ["font/ttf", true],
    ["font/woff2", false],
    ["image/png", false],
    ["application/zip", false],
    ["application/octet-stream", false],
    ["video/mp4", false],
  ])("%s compressible: %p", (type, expected) => expect(isCompressible(type)).toBe(expected));
});
