/**
 * The static half of a release: which folder is the document root and what is never served.
 *
 * Rules: the root is the manifest's `public` folder when the release has it, else the release's
 * own root when `index.html` lies there; a release with neither serves no files. Whatever the
 * root, the server's code, its settings and `private/` are never served.
 */
import type { SiteRules } from "../fs/mod.ts";
import type { Release } from "./app.ts";

/** Files and folders of a release that are the app's own business. */
const neverServed = [
  "private",
  "migrations",
  "node_modules",
  "app.json",
  "package.json",
  "package-lock.json",
  "bun.lock",
  "tsconfig.json",
  "fazt.d.ts",
] as const;

/** What a site is compiled from. `has` asks the release for a file, or a folder ending in `/`. */
export function siteRules(release: Release, has: (path: string) => boolean): SiteRules {
  const { manifest } = release;
  const flat = !has(`${manifest.public}/`) && has("index.html");
  const server = manifest.server === null ? [] : [manifest.server];
  return {
    root: flat ? "" : manifest.public,
    hidden: [...neverServed, ...server],
    spa: manifest.spa,
    redirects: manifest.redirects,
    headers: manifest.headers,
    modifiedAt: release.createdAt,
  };
}
