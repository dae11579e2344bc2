/**
 * Who listens to what. A pattern is a whole name, or a namespace and `.*`; a name without
 * namespace is in the app's own.
 *
 * Rules: `system.` belongs to the kernel, `app:<name>.` to that app; an app hears itself and
 * what its manifest's `permissions` name (`events:<app>`, `events:system` for what the system says
 * of other apps); the permission is looked at again at every event, so that a release without it
 * hears nothing more.
 */
import type { App, Apps } from "../../app/mod.ts";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { subscriptionsMax } from "./limits.ts";

/** A name of an event within its namespace, or with it; a pattern may end in `.*` or be `*`. */
export const namePattern = /^((app:[a-z0-9-]{1,63}|system)\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
export const onPattern =
  /^((app:[a-z0-9-]{1,63}|system)\.)?([A-Za-z0-9_-]+\.)*([A-Za-z0-9_-]+|\*)$/;

/** The name with its namespace. Pure. */
export function fullName(app: Pick<App, "name">, name: string): string {
  return /^(app:|system\.)/.test(name) ? name : `app:${app.name}.${name}`;
}

/** The patterns that a name is matched by, the narrowest first. Pure. */
export function patternsOf(name: string): string[] {
  const parts = name.split(".");
  const wider = parts.slice(1).map((_, i) => `${parts.slice(0, parts.length - 1 - i).join(".")}.*`);
  return [name, ...wider];
}

/** Of whom a name speaks: `system`, or the name of an app. Pure. */
export function sourceOf(name: string): string {
  const [space = ""] = name.split(".", 1);
  return space.startsWith("app:") ? space.slice(4) : space;
}

export interface Subscriptions {
  /** EACCES, EDQUOT. */
  add(app: App, pattern: string, releaseId: string | null): Promise<void>;
  rm(appId: string, pattern: string): Promise<boolean>;
  /** Ids of the apps that hear this name. */
  hearers(name: string, about?: App): string[];
  /** Forgets an app whose rows have gone. */
  forget(appId: string): void;
}

interface Parts {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly apps: Apps;
}

export function createSubscriptions({ machine, storage, apps }: Parts): Subscriptions {
  const byPattern = new Map<string, Set<string>>();
  const remember = (appId: string, pattern: string) => {
    const known = byPattern.get(pattern);
    if (known === undefined) byPattern.set(pattern, new Set([appId]));
    else known.add(appId);
  };
  const rows = storage.read.all<{ app_id: string; pattern: string }>(
    "SELECT app_id, pattern FROM event_subscription",
  );
  for (const row of rows) remember(row.app_id, row.pattern);
  const countOf = (appId: string) =>
    [...byPattern.values()].filter((hearers) => hearers.has(appId)).length;

  return {
    async add(app, pattern, releaseId) {
      if (!mayHear(apps, app, { source: sourceOf(pattern), releaseId })) throw denied(pattern);
      if (byPattern.get(pattern)?.has(app.id)) return;
      if (countOf(app.id) >= subscriptionsMax) {
        throw new SysError("EDQUOT", `cannot listen to "${pattern}": the app has too many`, {
          hint: `at most ${subscriptionsMax}; a pattern such as "app:blog.*" covers many`,
        });
      }
      const sql = "INSERT OR IGNORE INTO event_subscription VALUES (?, ?, ?, ?)";
      await storage.write((tx) => tx.run(sql, app.id, pattern, null, machine.now()));
      remember(app.id, pattern);
    },
    async rm(appId, pattern) {
      const sql = "DELETE FROM event_subscription WHERE app_id = ? AND pattern = ?";
      const gone = await storage.write((tx) => tx.run(sql, appId, pattern), { essential: true });
      byPattern.get(pattern)?.delete(appId);
      return gone > 0;
    },
    hearers(name, about) {
      const found = new Set(patternsOf(name).flatMap((one) => [...(byPattern.get(one) ?? [])]));
      return [...found].filter((appId) => {
        const app = apps.find(appId);
        if (app === null || about?.id === appId) return app !== null;
        const source = about === undefined ? sourceOf(name) : "others";
        return mayHear(apps, app, { source, releaseId: app.releaseId });
      });
    },
    forget(appId) {
      for (const hearers of byPattern.values()) hearers.delete(appId);
    },
  };
}

/** `others`: what the system says of another app. */
function mayHear(
  apps: Apps,
  app: App,
  { source, releaseId }: { source: string; releaseId: string | null },
): boolean {
  if (source === app.name || source === "system") return true;
  if (releaseId === null) return false;
  const { permissions } = apps.release(releaseId).manifest;
  return permissions.includes(`events:${source === "others" ? "system" : source}`);
}

function denied(pattern: string): SysError {
  return new SysError("EACCES", `cannot listen to "${pattern}": these are another app's events`, {
    hint: `name "events:${sourceOf(pattern)}" in app.json under "permissions"`,
  });
}
