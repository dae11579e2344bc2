/** A site's rules: URL paths, hidden paths, content hashes, redirects, header rules. */
import { describe, expect, test } from "bun:test";
import { hasContentHash, headersFor, isHidden, nameOf, redirectOf } from "./site.ts";

describe("a URL's path", () => {
  test.each([
    ["/", "", true],
    ["/a/b.html", "a/b.html", false],
    ["/a/", "a", true],
    ["/%C3%BC.txt", "ü.txt", false],
    ["/a%20b", "a b", false],
    ["/100%25", "100%", false],
    ["/%252e%252e/x", "%2e%2e/x", false],
  ])("%s names %p", (pathname, path, directory) =>
    expect(nameOf(pathname)).toEqual({ kind: "path", path, directory }),
  );

  test.each(["/%", "/%zz", "/%ff", "/a%00b", "/%c3", "a"])("%s is malformed", (pathname) =>
    expect(nameOf(pathname)).toEqual({ kind: "malformed" }),
  );

  test.each([
    "/../x",
    "/%2e%2e/x",
    "/%2E%2e",
    "/a/..%2fb",
    "/a%2Fb",
    "/..%5cx",
    "/a\\b",
    "//a",
    "/a//b",
    "/./a",
    "/%2e/a",
    "//",
  ])("%s names nothing", (pathname) => expect(nameOf(pathname)).toEqual({ kind: "none" }));
});

test.each([
  ["app.json", true],
  ["private/key.pem", true],
  ["private", true],
  ["privateer.txt", false],
  ["node_modules/x/index.js", true],
  ["public/node_modules/x.js", false],
  ["public/private/x", false],
  [".env", true],
  ["public/.git/config", true],
  ["public/.well-known/security.txt", false],
  ["server.ts", true],
  ["server.ts.html", false],
])("%s hidden: %p", (path, hidden) => expect(isHidden(path, ["server.ts"])).toBe(hidden));

test.each([
  ["app.3f9a2b1c.js", true],
  ["a/main-0123456789abcdef.css", true],
  ["report.20241122.js", false],
  ["cafebabe.js", false],
  ["x.deadbeef.js", false],
  ["index.3f9a2b1c.html", false],
  ["x.3f9a2b1.js", false],
])("%s carries a hash: %p", (path, expected) => expect(hasContentHash(path)).toBe(expected));

describe("redirects", () => {
  const rules = [
    { from: "/old", to: "/new", status: 301 },
    { from: "/blog/*", to: "/news/:splat", status: 308 },
    { from: "/all/*", to: "/:splat", status: 302 },
    { from: "/away/*", to: "https://elsewhere.example/:splat?from=us", status: 307 },
  ] as const;

  test.each([
    ["/old", "", "/new", 301],
    ["/old", "?a=1", "/new?a=1", 301],
    ["/blog/2026/x", "", "/news/2026/x", 308],
    ["/blog", "", "/news/", 308],
    ["/blog/a%20b%2Fc", "", "/news/a%20b%2Fc", 308],
    ["/away/x", "?a=1", "https://elsewhere.example/x?from=us", 307],
    ["/all//evil.example/x", "", "/evil.example/x", 302],
    ["/all/\\evil.example", "", "/evil.example", 302],
    ["/all/$&", "", "/$&", 302],
  ])("%s%s leads to %s", (pathname, search, ...[location, status]) =>
    expect(redirectOf(rules, pathname, search)).toEqual({ location, status }),
  );

  test.each(["/older", "/ol", "/blogger"])("%s does not lead anywhere", (pathname) =>
    expect(redirectOf(rules, pathname, "")).toBeNull(),
  );
});

test("header rules: later win, and framing, validators and broken values are left alone", () => {
  const rules = [
    { path: "/*", headers: { "X-A": "1", "Cache-Control": "no-store", ETag: '"x"' } },
    { path: "/a/*", headers: { "x-a": "2", "Content-Length": "5", "X-Bad": "a\r\nb", "b c": "d" } },
    { path: "/exact", headers: { "X-E": "3" } },
  ];
  const of = (pathname: string) => Object.fromEntries(headersFor(rules, pathname));
  expect(of("/x")).toEqual({ "x-a": "1", "cache-control": "no-store" });
  expect(of("/a/b")).toEqual({ "x-a": "2", "cache-control": "no-store" });
  expect(of("/exact")).toEqual({ "x-a": "1", "cache-control": "no-store", "x-e": "3" });
});
