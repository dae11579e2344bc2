/**
 * The directory of apps: who is called what now. Kept in memory, because every request and every
 * call asks it; the database is the truth, and an entry is read again after each durable change.
 */
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import { nearest } from "../nearest.ts";
import type { Reader } from "../storage/mod.ts";
import type { App } from "./app.ts";
import { appRow, liveApps } from "./row.ts";

export interface Directory {
  ls(): App[];
  find(nameOrId: string): App | null;
  /** ENOENT with the nearest name as hint. */
  get(nameOrId: string): App;
  /** See `Apps.subject`. */
  subject(caller: Caller, name: string | undefined): App;
  /** Reads one app again; removed and erased ones are forgotten. */
  refresh(appId: string): void;
}

export function createDirectory(read: Reader): Directory {
  const byId = new Map<string, App>();
  const byName = new Map<string, App>();
  for (const app of liveApps(read)) {
    byId.set(app.id, app);
    byName.set(app.name, app);
  }

  const find = (nameOrId: string): App | null => byName.get(nameOrId) ?? byId.get(nameOrId) ?? null;

  const get = (nameOrId: string): App => {
    const app = find(nameOrId);
    if (app !== null) return app;
    const guess = nearest(nameOrId, byName.keys());
    throw new SysError("ENOENT", `no such app: ${nameOrId.slice(0, 100)}`, {
      hint: guess === null ? "fazt app ls lists them all" : `did you mean ${guess}?`,
    });
  };

  const ownApp = (appId: string, name: string | undefined): App => {
    const own = byId.get(appId);
    if (own === undefined) {
      throw new SysError("ENOENT", "the calling app has been removed", {
        hint: "deploy it again; its new data starts empty",
      });
    }
    if (name === undefined || name === own.name || name === own.id) return own;
    throw new SysError("EPERM", `cannot act on app ${JSON.stringify(name)}: not the caller's own`, {
      hint: "leave the app out: an app always means itself",
    });
  };

  return {
    ls: () => [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    find,
    get,
    subject(caller, name) {
      if (caller.kind === "app") return ownApp(caller.appId ?? "", name);
      if (name !== undefined) return get(name);
      throw new SysError("EINVAL", "cannot tell which app is meant: none named", {
        hint: "name it; fazt app ls lists them all",
      });
    },
    refresh(appId) {
      const old = byId.get(appId);
      byId.delete(appId);
      if (old !== undefined && byName.get(old.name)?.id === appId) byName.delete(old.name);
      const app = appRow(read, appId);
      if (app === null || app.removedAt !== null) return;
      byId.set(appId, app);
      byName.set(app.name, app);
    },
  };
}
