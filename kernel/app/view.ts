/**
 * How apps are seen: in the tree, and as sites.
 *
 * In the tree `/apps/<name>` is the current release, `/data/<name>` the app's own files, and
 * `/app` and `/data` are what the app itself sees of the two.
 *
 * A site's document root is the manifest's `public` folder when the release has it, else the
 * release's own root when `index.html` lies there; a release with neither serves no files.
 * Whatever the root, the server's code, its settings and `private/` are never served.
 */
import type { Filesystem, SiteRules } from "../fs/mod.ts";
import type { App, Release } from "./app.ts";
import type { Parts } from "./create.ts";
import { limits } from "./limits.ts";

/** Mounts the apps; called once. */
export function attach({ fs, directory, releases }: Parts): void {
  const code = (releaseId: string): Filesystem =>
    fs.manifests.filesystem(releaseId, releases.get(releaseId).createdAt);
  const data = (app: App): Filesystem => fs.tree(app.id, { appId: app.id }, limits.dataBytesMax);

  const deployed = () => directory.ls().filter((app) => app.releaseId !== null);
  fs.mountEach(
    "/apps",
    () => deployed().map((app) => app.name),
    (name) => {
      const releaseId = directory.find(name)?.releaseId ?? null;
      return releaseId === null ? null : code(releaseId);
    },
  );
  fs.mountEach(
    "/data",
    () => directory.ls().map((app) => app.name),
    (name) => {
      const app = directory.find(name);
      return app === null ? null : data(app);
    },
  );
  fs.setAppView((caller) => {
    const app = caller.appId === null ? null : directory.find(caller.appId);
    if (app === null || caller.releaseId === null) return null;
    return { app: code(caller.releaseId), data: data(app) };
  });
}

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
    server: manifest.server !== null,
    redirects: manifest.redirects,
    headers: manifest.headers,
    modifiedAt: release.createdAt,
  };
}
