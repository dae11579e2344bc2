/** What stays behind, as a table. */
import { expect, test } from "bun:test";
import { ignoreRules } from "./ignore.ts";

test.each([
  ["", "node_modules", true, true],
  ["", "lib/node_modules", true, true],
  ["", ".git", true, true],
  ["", "public/.env", false, true],
  ["", ".well-known", true, false],
  ["", "index.html", false, false],
  ["*.map", "public/js/app.js.map", false, true],
  ["*.map", "public/js/app.js", false, false],
  ["drafts/", "public/drafts", true, true],
  ["drafts/", "public/drafts", false, false],
  ["/drafts", "drafts", false, true],
  ["/drafts", "public/drafts", false, false],
  ["public/*.psd", "public/a.psd", false, true],
  ["public/*.psd", "public/b/a.psd", false, false],
  ["public/**/*.psd", "public/b/c/a.psd", false, true],
  ["# *.html\n\n", "index.html", false, false],
  ["*.txt\n!robots.txt", "robots.txt", false, false],
  ["*.txt\n!robots.txt", "notes.txt", false, true],
  ["!.env", ".env", false, true],
] as const)("%j, %s (folder %p): left out is %p", (...row) => {
  const [rules, path, isFolder, left] = row;
  expect(ignoreRules(rules)(path, isFolder)).toBe(left);
});
