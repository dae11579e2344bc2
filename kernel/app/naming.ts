/**
 * The life of an app beside its releases: its name, whether it is stopped, and its end. Removing
 * frees the name at once; `purge_at` says from when on gc may erase the data.
 */
import { SysError } from "../errno.ts";
import type { Apps } from "./app.ts";
import type { Parts } from "./create.ts";
import { limits } from "./limits.ts";
import { readAppName } from "./manifest.ts";
import { appIdOf, removedApps } from "./row.ts";

/** The removed app that is meant is not there any more. */
function nothingLeft(verb: "restore" | "purge", nameOrId: string): SysError {
  return new SysError("ENOENT", `cannot ${verb} "${nameOrId.slice(0, 100)}": no such app`, {
    hint: "fazt app removed lists those that can be brought back",
  });
}

export function createNaming(
  parts: Parts,
): Pick<Apps, "rename" | "rm" | "removed" | "restore" | "setStopped"> {
  const { machine, storage, directory, collector, holds, releases, retention, reread, tell } =
    parts;

  /** Resolves when every watcher has let go of the app, or when waiting is no longer worth it. */
  const letGo = (told: Promise<void>): Promise<void> =>
    new Promise((resolve) => {
      const timer = machine.after(limits.letGoMs, resolve);
      void told.then(() => {
        timer.cancel();
        resolve();
      });
    });

  const removed = () => removedApps(storage.read, machine.now());
  const findRemoved = (nameOrId: string) =>
    removed().find(({ app }) => app.id === nameOrId || app.name === nameOrId)?.app ?? null;

  return {
    removed,

    async restore(nameOrId, as) {
      const gone = findRemoved(nameOrId);
      if (gone === null) throw nothingLeft("restore", nameOrId);
      const name = as === undefined ? gone.name : readAppName(as, "restore as");
      // Somebody may have begun to erase it since it was looked up.
      const sql = `UPDATE app_app SET removed_at = NULL, purge_at = NULL, name = ?
        WHERE app_id = ? AND removed_at IS NOT NULL AND purge_at > ?`;
      await storage.write(
        (tx) => {
          if (appIdOf(tx, name) !== null) {
            throw new SysError("EEXIST", `cannot restore "${name}": the name is taken`, {
              hint: "give another with --name",
            });
          }
          const now = machine.now();
          if (tx.run(sql, name, gone.id, now) === 0) throw nothingLeft("restore", nameOrId);
        },
        { essential: true },
      );
      const app = reread(gone.id);
      void tell({ kind: "changed", app });
      if (app.releaseId !== null) {
        void tell({ kind: "switched", app, release: releases.get(app.releaseId) });
      }
      return app;
    },

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
      // What is removed already may still be erased for good.
      const gone = purge && directory.find(nameOrId) === null ? findRemoved(nameOrId) : null;
      if (gone !== null) {
        // First its time: should this be cut, gc goes on with it and nobody brings half of it back.
        const now = "UPDATE app_app SET purge_at = ? WHERE app_id = ? AND removed_at IS NOT NULL";
        const begun = await storage.write((tx) => tx.run(now, machine.now(), gone.id), {
          essential: true,
        });
        // Brought back since it was looked up.
        if (begun === 0) throw nothingLeft("purge", nameOrId);
        await collector.purge(gone.id);
        return;
      }
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
