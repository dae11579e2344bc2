/**
 * Routes: the rows of `net_route`, and the host table that follows from them, from the apps and
 * from the machine's domain.
 *
 * Rules: the table is replaced whole (its identity tells holders of answers that theirs is old);
 * what manifests claim is reconciled after every change of an app, and may run twice.
 */
import type { App, Apps } from "../app/mod.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Security } from "../security/mod.ts";
import type { Storage } from "../storage/mod.ts";
import { routeName } from "./host.ts";
import { domainCheckMs, routesMax } from "./limits.ts";
import type { RouteInfo } from "./net.ts";
import { splitRoute } from "./prefix.ts";
import {
  type Claims,
  claim,
  isReserved,
  listRoutes,
  makeTable,
  type RouteRow,
  routeOf,
  type Table,
  type Wish,
} from "./table.ts";

export interface RoutesOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly apps: Apps;
  readonly security: Security;
}

export interface Routes {
  /** The table now; another object after every change. */
  table(): Table;
  /** Looks whether the machine's domain has changed, and then makes the table anew. */
  checkDomain(): void;
  /** Makes what is remembered of hosts void, though nothing of the table changes. */
  touch(): void;
  /** Calls `told` with every table that is made from now on. */
  watch(told: (table: Table) => void): void;
  ls(): RouteInfo[];
  add(host: string, appId: string): Promise<RouteInfo>;
  rm(host: string): Promise<void>;
  close(): void;
}

/** The domain of a machine that has none yet (contract: local development). */
const localDomain = "localhost";

export function createRoutes(options: RoutesOptions): Routes {
  const { machine, storage, apps, security } = options;
  const domainNow = (): string => security.owner()?.domain ?? localDomain;
  const book = new Map(readRows(storage).map((row) => [row.host, row]));
  const told = new Set<string>();
  const watchers = new Set<(table: Table) => void>();
  let table = makeTable({ domain: domainNow(), apps: apps.ls(), rows: [...book.values()] });
  /** Rows have changed since the table was made: many changes at once cost one table. */
  let stale = false;

  const rebuild = (): void => {
    stale = false;
    const removed = new Set(apps.removed().map(({ app }) => app.id));
    const rows = [...book.values()];
    const source = { domain: domainNow(), apps: apps.ls(), removed, rows };
    const claims = claim(source, wishes(apps, source.apps), machine.now());
    for (const row of claims.remove) book.delete(row.host);
    for (const row of claims.insert) book.set(row.host, row);
    table = makeTable({ ...source, rows: [...book.values()] });
    report(claims);
    if (claims.insert.length + claims.remove.length > 0) keep(claims);
    for (const watcher of watchers) watcher(table);
  };

  const report = (claims: Claims): void => {
    for (const { app, host, why } of claims.refused) {
      const text = `cannot route "${host}" to app "${app.name}": ${why}`;
      if (told.has(text)) continue;
      if (told.size >= routesMax) told.clear();
      told.add(text);
      log(storage, app, text);
    }
  };

  const keep = (claims: Claims): void => {
    storage
      .write((tx) => {
        // Of this very row: the host may be somebody's anew since it was looked at.
        const sql = "DELETE FROM net_route WHERE host = ? AND app_id = ? AND origin = ?";
        for (const { host, appId, origin } of claims.remove) tx.run(sql, host, appId, origin);
        for (const row of claims.insert) insertRow(tx, row);
      })
      // Routing already follows the claim; the next reconcile, at boot at the latest, writes it.
      .catch((error: unknown) => log(storage, null, `cannot keep routes: ${String(error)}`));
  };

  const checkDomain = (): void => {
    if (stale || domainNow() !== table.domain) rebuild();
  };

  rebuild();
  /** Nothing is left of an app that will not come back. */
  const forget = async (appId: string): Promise<void> => {
    const sql = "DELETE FROM net_route WHERE app_id = ?";
    await storage.write((tx) => tx.run(sql, appId), { essential: true });
    for (const [host, row] of book) if (row.appId === appId) book.delete(host);
    rebuild();
  };
  // What the owner routed to an app leads to the one that has taken its place.
  apps.onReplace((tx, appId, heir) => {
    const sql = "UPDATE net_route SET app_id = ? WHERE app_id = ? AND origin = 'added'";
    tx.run(sql, heir, appId);
  });
  const inherit = (appId: string, heir: string): void => {
    const own = [...book.values()].filter((row) => row.appId === appId && row.origin === "added");
    for (const row of own) book.set(row.host, { ...row, appId: heir });
    rebuild();
  };
  const unwatch = apps.watch((event) => {
    if (event.kind === "purged") return forget(event.app.id);
    if (event.kind !== "removed" || event.heir === undefined) return rebuild();
    return inherit(event.app.id, event.heir.id);
  });
  const timer = machine.every(domainCheckMs, checkDomain);

  return {
    table: () => {
      if (stale) rebuild();
      return table;
    },
    checkDomain,
    touch: () => {
      table = { ...table };
    },
    watch: (watcher) => watchers.add(watcher),
    ls: () => {
      checkDomain();
      return listRoutes(table);
    },
    add: async (text, appId) => {
      checkDomain();
      const app = apps.get(appId);
      const row = newRow({ host: routeName(text), app, at: machine.now() }, { table, book });
      await storage.write((tx) => {
        // Another call may have taken the host since it was looked up.
        const sql = "SELECT app_id AS appId FROM net_route WHERE host = ? AND origin = 'added'";
        const rival = tx.get<{ appId: string }>(sql, row.host);
        const holds = rival !== null && rival.appId !== app.id && apps.find(rival.appId) !== null;
        if (holds) throw hostTaken(row.host, "another app");
        insertRow(tx, row);
      });
      book.set(row.host, row);
      stale = true;
      return { host: row.host, app: app.name, appId: app.id, origin: "added" };
    },
    rm: async (text) => {
      const host = routeName(text);
      checkDomain();
      assertRemovable(host, { table, book });
      await storage.write((tx) => tx.run("DELETE FROM net_route WHERE host = ?", host));
      book.delete(host);
      stale = true;
    },
    close: () => {
      unwatch();
      timer.cancel();
    },
  };
}

/** What is known of hosts when one is added or removed. */
interface Known {
  readonly table: Table;
  readonly book: ReadonlyMap<string, RouteRow>;
}

/** The row of a host the owner routes, or EEXIST with who has it. */
function newRow(wanted: { host: string; app: App; at: number }, known: Known): RouteRow {
  const { host, app, at } = wanted;
  if (isReserved(splitRoute(host).host, known.table.domain))
    throw hostTaken(host, "the system itself");
  const holder = routeOf(known.table, host);
  if (holder !== null && holder.appId !== app.id) {
    throw hostTaken(host, `app "${holder.app}"`);
  }
  if (known.book.size >= routesMax && !known.book.has(host)) {
    throw new SysError("EDQUOT", `cannot route "${host}": ${routesMax} routes are there already`, {
      hint: "remove one: fazt net route rm HOST",
    });
  }
  return { host, appId: app.id, origin: "added", createdAt: at };
}

function hostTaken(host: string, holder: string): SysError {
  return new SysError("EEXIST", `cannot route "${host}": ${holder} has it`, {
    hint: "choose another host, or free this one: fazt net route rm HOST",
  });
}

function assertRemovable(host: string, known: Known): void {
  const row = known.book.get(host);
  if (row?.origin === "added") return;
  const failed = `cannot remove route "${host}"`;
  if (row !== undefined) {
    throw new SysError("EINVAL", `${failed}: the app's manifest asks for it`, {
      hint: 'take it out of "routes" in app.json and deploy',
    });
  }
  if (routeOf(known.table, host) !== null) {
    throw new SysError("EINVAL", `${failed}: it follows from the app's name`, {
      hint: "rename or remove the app",
    });
  }
  throw new SysError("ENOENT", `${failed}: no such route`, { hint: "fazt net route ls" });
}

function readRows(storage: Storage): RouteRow[] {
  return storage.read.all<RouteRow>(
    "SELECT host, app_id AS appId, origin, created_at AS createdAt FROM net_route ORDER BY host",
  );
}

function insertRow(
  tx: { run(sql: string, ...values: (string | number)[]): number },
  row: RouteRow,
): void {
  tx.run(
    `INSERT INTO net_route (host, app_id, user_id, origin, created_at) VALUES (?, ?, NULL, ?, ?)
     ON CONFLICT (host) DO UPDATE SET app_id = excluded.app_id, origin = excluded.origin`,
    row.host,
    row.appId,
    row.origin,
    row.createdAt,
  );
}

/** What the current releases ask for, oldest app first. */
function wishes(apps: Apps, live: readonly App[]): Wish[] {
  return live
    .filter((app) => app.releaseId !== null)
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
    .map((app) => ({ app, hosts: apps.release(app.releaseId ?? "").manifest.routes }));
}

function log(storage: Storage, app: App | null, text: string): void {
  storage.logs.append({
    app: "kernel",
    appId: app?.id ?? null,
    releaseId: app?.releaseId ?? null,
    level: "warn",
    text,
  });
}
