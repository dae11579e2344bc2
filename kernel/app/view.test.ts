/** Which folder of a release is served, and what never is. */
import { expect, test } from "bun:test";
import type { Release } from "./app.ts";
import { Manifest } from "./manifest.ts";
import { siteRules } from "./view.ts";

function rules(manifest: unknown, paths: string[]) {
  const release: Release = {
    id: "rel_1",
    appId: "app_1",
    number: 1,
    createdAt: 5,
    message: "",
    fileCount: paths.length,
    sizeBytes: 0,
    egressAgreed: false,
    manifest: Manifest.parse(manifest),
  };
  const has = (path: string) =>
    path.endsWith("/") ? paths.some((p) => p.startsWith(path)) : paths.includes(path);
  return siteRules(release, has);
}

test.each([
  ["public/ when the release has it", {}, ["public/a.html", "index.html"], "public"],
  ["the release's root when index.html lies there", {}, ["index.html", "a.css"], ""],
  ["the folder the manifest names", { public: "dist" }, ["dist/a.html"], "dist"],
  ["nothing at all without either", {}, ["server.js"], "public"],
] as [string, unknown, string[], string][])("the document root is %s", (...row) => {
  const [, manifest, paths, root] = row;
  expect(rules(manifest, paths).root).toBe(root);
});

test("code, settings and private files are never served", () => {
  const { hidden } = rules({ server: "main.js" }, ["index.html"]);
  expect(hidden).toEqual(expect.arrayContaining(["main.js", "private", "migrations", "app.json"]));
  expect(hidden).toEqual(expect.arrayContaining(["package.json", "node_modules"]));
});
