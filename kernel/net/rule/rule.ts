/**
 * Rules beside the routes: hosts that lead elsewhere (a `www.`, a former name, the names beside an
 * app's primary one), and apps that rest.
 *
 * Rules: a redirect goes before what follows from an app's name, and is refused for a host that was
 * routed; it never leads to itself; what is changed holds from the next request on.
 */
import type { Apps } from "../../app/mod.ts";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { hostCharsMax, redirectsMax } from "./limits.ts";

/** A host that leads to another; the path and the query go along. */
export interface Redirect {
  readonly host: string;
  /** `https://www.example.org`, without a path. */
  readonly to: string;
  /** False while it may still change: 307, else 308. */
  readonly permanent: boolean;
}

/** What `redirect add` is told; checked here. */
export interface Wish {
  readonly host: string;
  /** A host name, or a URL without a path. */
  readonly to: string;
  readonly permanent: boolean;
}

/** The URL a redirect leads to: HTTPS unless it says otherwise. EINVAL. */
export function targetOf(text: string): string {
  const url = URL.parse(/^https?:\/\//.test(text) ? text : `https://${text}`);
  const bare = url !== null && url.pathname === "/" && url.search === "" && url.hash === "";
  if (bare && url.username === "" && url.hostname.length <= hostCharsMax) return url.origin;
  throw new SysError("EINVAL", `cannot redirect to "${text}": not a host`, {
    hint: "write example.org or https://example.org:8443, without a path",
  });
}

/** An app that answers with a page of the kernel's for a while. */
export interface Rest {
  readonly appId: string;
  /** When visitors may try again, in seconds. */
  readonly retryAfterS: number;
}

/** The name of an app that its others lead to. */
interface Primary {
  readonly appId: string;
  readonly host: string;
}

export interface Rules {
  /** The app's primary host, whether it still has it or not. */
  primary(appId: string): string | null;
  primaries(): readonly Primary[];
  /** Null: each host answers for itself. ENOSPC. That the app has the host is the caller's. */
  setPrimary(appId: string, host: string | null): Promise<void>;
  redirect(host: string): Redirect | null;
  redirects(): readonly Redirect[];
  /** EINVAL, EDQUOT, ENOSPC. That the host may be had is checked by the caller. */
  addRedirect(wish: Wish): Promise<Redirect>;
  /** ENOENT. */
  rmRedirect(host: string): Promise<void>;
  rest(appId: string): Rest | null;
  rests(): readonly Rest[];
  /** Null wakes the app again. */
  setRest(appId: string, retryAfterS: number | null): Promise<void>;
  close(): void;
}

export interface RuleOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly apps: Apps;
  /** Told after every change. */
  changed(): void;
}

export function createRules({ machine, storage, apps, changed }: RuleOptions): Rules {
  const select = "SELECT host, target AS 'to', permanent FROM net_redirect ORDER BY host";
  const redirects = new Map(
    storage.read
      .all<{ host: string; to: string; permanent: number }>(select)
      .map((row) => [row.host, { ...row, permanent: row.permanent === 1 }]),
  );
  const rests = new Map(
    storage.read
      .all<{ appId: string; retryAfterS: number }>(
        "SELECT app_id AS appId, retry_after_s AS retryAfterS FROM net_rest",
      )
      .map((row) => [row.appId, { ...row }]),
  );

  const primaries = new Map(
    storage.read
      .all<Primary>("SELECT app_id AS appId, host FROM net_primary")
      .map((row) => [row.appId, row.host]),
  );

  const tables = ["net_primary", "net_rest"] as const;
  const forget = async (appId: string): Promise<void> => {
    await storage.write(
      (tx) => {
        for (const table of tables) tx.run(`DELETE FROM ${table} WHERE app_id = ?`, appId);
      },
      { essential: true },
    );
    primaries.delete(appId);
    rests.delete(appId);
  };
  // What was said of an app is said of the one that has taken its place.
  apps.onReplace((tx, appId, heir) => {
    for (const table of tables) {
      tx.run(`UPDATE OR REPLACE ${table} SET app_id = ? WHERE app_id = ?`, heir, appId);
    }
  });
  const inherit = (appId: string, heir: string): void => {
    const [host, rest] = [primaries.get(appId), rests.get(appId)];
    if (host !== undefined) primaries.set(heir, host);
    if (rest !== undefined) rests.set(heir, { ...rest, appId: heir });
    primaries.delete(appId);
    rests.delete(appId);
    changed();
  };
  const unwatch = apps.watch((event) => {
    if (event.kind === "purged") return forget(event.app.id);
    if (event.kind !== "removed" || event.heir === undefined) return;
    return inherit(event.app.id, event.heir.id);
  });

  return {
    close: unwatch,
    primary: (appId) => primaries.get(appId) ?? null,
    primaries: () =>
      [...primaries]
        .map(([appId, host]) => ({ appId, host }))
        .filter(({ appId }) => apps.find(appId) !== null),
    setPrimary: async (appId, host) => {
      await storage.write((tx) => {
        tx.run("DELETE FROM net_primary WHERE app_id = ?", appId);
        if (host === null) return;
        tx.run("INSERT INTO net_primary (app_id, host) VALUES (?, ?)", appId, host);
      });
      if (host === null) primaries.delete(appId);
      else primaries.set(appId, host);
      changed();
    },
    redirect: (host) => redirects.get(host) ?? null,
    redirects: () => [...redirects.values()],
    addRedirect: async ({ host, to: text, permanent }) => {
      const to = targetOf(text);
      const redirect = { host, to, permanent };
      const failed = `cannot redirect "${host}" to "${to}"`;
      if (new URL(to).hostname === host) {
        throw new SysError("EINVAL", `${failed}: it would lead to itself`, {
          hint: "HTTP leads to HTTPS by itself once the host has a certificate",
        });
      }
      if (redirects.size >= redirectsMax && !redirects.has(host)) {
        throw new SysError("EDQUOT", `${failed}: ${redirectsMax} redirects are there already`, {
          hint: "remove one: fazt net redirect rm HOST",
        });
      }
      await storage.write((tx) =>
        tx.run(
          `INSERT INTO net_redirect (host, target, permanent, created_at) VALUES (?, ?, ?, ?)
           ON CONFLICT (host) DO UPDATE SET target = excluded.target,
             permanent = excluded.permanent`,
          ...[host, to, permanent ? 1 : 0, machine.now()],
        ),
      );
      redirects.set(host, redirect);
      changed();
      return redirect;
    },
    rmRedirect: async (host) => {
      if (!redirects.has(host)) {
        const hint = "fazt net redirect ls";
        throw new SysError("ENOENT", `cannot remove redirect "${host}": no such redirect`, {
          hint,
        });
      }
      await storage.write((tx) => tx.run("DELETE FROM net_redirect WHERE host = ?", host));
      redirects.delete(host);
      changed();
    },
    rest: (appId) => rests.get(appId) ?? null,
    rests: () => [...rests.values()].filter(({ appId }) => apps.find(appId) !== null),
    setRest: async (appId, retryAfterS) => {
      await storage.write((tx) => {
        tx.run("DELETE FROM net_rest WHERE app_id = ?", appId);
        if (retryAfterS === null) return;
        tx.run("INSERT INTO net_rest (app_id, retry_after_s) VALUES (?, ?)", appId, retryAfterS);
      });
      if (retryAfterS === null) rests.delete(appId);
      else rests.set(appId, { appId, retryAfterS });
      changed();
    },
  };
}
