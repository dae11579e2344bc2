/**
 * The life of an app beside its releases: its name, whether it is stopped, and its end. Removing
 * frees the name at once; `purge_at` says from when on gc may erase the data.
 */
import { SysError } from "../errno.ts";
import type { Apps } from "./app.ts";
import type { Parts } from "./create.ts";
import { limits } from "./limits.ts";
import { readAppName } from "./manifest.ts";
import { appIdOf } from "./row.ts";

export function createNaming(parts: Parts): Pick<Apps, "rename" | "rm" | "setStopped"> {
  const { machine, storage, directory, collector, holds, retention, reread, tell } = parts;

  /** Resolves when every watcher has let go of the app, or when waiting is no longer worth it. */
  const letGo = (told: Promise<void>): Promise<void> =>
    new Promise((resolve) => {
      const timer = machine.after(limits.letGoMs, resolve);
      void told.then(() => {
        timer.cancel();
        resolve();
      });
    });

  return {
    async rename(nameOrId, to) {
      const { id, name } = directory.get(nameOrId);
      readAppName(to, "rename to");
      if (to === name) return directory.get(id);
      holds.check(id, "rename", "");
      await storage.write((tx) => {
        if (appIdOf(tx, to) !== null) {
          throw new SysError("EEXIST", `cannot rename "${name}" to "${to}": the name is taken`, {
            hint: "choose another, or remove that app first",
          });
        }
        const sql = "UPDATE app_app SET name = ? WHERE app_id = ? AND removed_at IS NULL";
        tx.run(sql, to, id);
      });
      const app = reread(id);
      void tell({ kind: "changed", app });
      return app;
    },

    async setStopped(appId, stopped) {
      const sql = "UPDATE app_app SET stopped = ? WHERE app_id = ?";
      await storage.write((tx) => tx.run(sql, stopped ? 1 : 0, appId), { essential: true });
      const app = reread(appId);
      void tell({ kind: "changed", app });
      return app;
    },

    async rm(nameOrId, { purge }) {
      const { id } = directory.get(nameOrId);
      const app = directory.get(id);
      holds.check(id, "remove", "");
      const removedAt = machine.now();
      const purgeAt = purge ? removedAt : removedAt + retention.removedKeptMs;
      const sql = "UPDATE app_app SET removed_at = ?, purge_at = ? WHERE app_id = ?";
      await storage.write((tx) => tx.run(sql, removedAt, purgeAt, id), { essential: true });
      directory.refresh(id);
      const told = letGo(tell({ kind: "removed", app: { ...app, removedAt } }));
      if (!purge) return;
      await told;
      await collector.purge(id);
    },
  };
}
