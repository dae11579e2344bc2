/**
 * Where apps appear in the tree: `/apps/<name>` is the current release, `/data/<name>` the app's
 * own files, and `/app` and `/data` are what the app itself sees of the two.
 */
import type { Filesystem } from "../fs/mod.ts";
import type { App } from "./app.ts";
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
