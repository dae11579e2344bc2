/**
 * The host table: which host is whose. Pure: made whole from what is wanted, looked up in O(1).
 *
 * Precedence, first to last:
 * 1. the OS host, `os.<domain>` (and `os.localhost` for a client on this very machine);
 * 2. hosts the owner added; 3. `<app>.<domain>`; 4. hosts manifests claimed, first come;
 * 5. the bare domain without a route: the landing page;
 * 6. the same again for wildcards, which stand for exactly one label.
 * A part of a host (`example.org/blog`) goes before whoever has the host.
 */
import type { App } from "../app/mod.ts";
import { SysError } from "../errno.ts";
import { routeHost } from "./host.ts";
import { routesMax } from "./limits.ts";
import type { RouteInfo } from "./net.ts";
import { splitRoute } from "./prefix.ts";

/** A row of `net_route`. */
export interface RouteRow {
  readonly host: string;
  readonly appId: string;
  readonly origin: "added" | "manifest";
  readonly createdAt: number;
}

/** Who answers a host. `local`: only for clients on this very machine. */
export type Holder =
  | { readonly kind: "os"; readonly local: boolean }
  | { readonly kind: "landing"; readonly local: boolean }
  | { readonly kind: "app"; readonly app: App; readonly route: RouteInfo };

/** An app that has a part of a host. */
export interface PathHolder {
  /** `/blog`, without a slash at its end. */
  readonly prefix: string;
  readonly app: App;
  readonly route: RouteInfo;
}

export interface Table {
  readonly domain: string;
  readonly exact: ReadonlyMap<string, Holder>;
  /** By the part after `*.`. */
  readonly wildcard: ReadonlyMap<string, Holder>;
  /** Parts of hosts, by host; the longest prefix first. */
  readonly paths: ReadonlyMap<string, readonly PathHolder[]>;
}

export interface TableSource {
  readonly domain: string;
  readonly apps: readonly App[];
  /** Ids of apps that are removed and may come back: what their owner routed waits for them. */
  readonly removed?: ReadonlySet<string>;
  readonly rows: readonly RouteRow[];
}

const localNames = ["localhost", "127.0.0.1", "[::1]"];

/** Hosts that are the system's own and cannot be routed. */
export function isReserved(host: string, domain: string): boolean {
  return host === `os.${domain}` || host === "os.localhost";
}

/** Makes the table. Later entries never replace earlier ones. */
export function makeTable({ domain, apps, rows }: TableSource): Table {
  const exact = new Map<string, Holder>();
  const wildcard = new Map<string, Holder>();
  const paths = new Map<string, PathHolder[]>();
  const byId = new Map(apps.map((app) => [app.id, app]));
  const put = (host: string, holder: Holder): void => {
    const [map, key] = host.startsWith("*.") ? [wildcard, host.slice(2)] : [exact, host];
    if (!map.has(key)) map.set(key, holder);
  };
  const putRows = (origin: RouteRow["origin"]): void => {
    for (const row of rows) {
      const app = byId.get(row.appId);
      if (row.origin !== origin || app === undefined) continue;
      const holder = held(row.host, app, origin);
      const { host, prefix } = splitRoute(row.host);
      if (prefix === "") put(host, holder);
      else paths.set(host, [...(paths.get(host) ?? []), { prefix, app, route: holder.route }]);
    }
  };
  put(`os.${domain}`, { kind: "os", local: false });
  put("os.localhost", { kind: "os", local: true });
  putRows("added");
  for (const app of apps) {
    const host = `${app.name}.${domain}`;
    put(host, held(host, app, "name"));
  }
  putRows("manifest");
  put(domain, { kind: "landing", local: false });
  for (const name of localNames) put(name, { kind: "landing", local: true });
  for (const parts of paths.values()) parts.sort((a, b) => b.prefix.length - a.prefix.length);
  return { domain, exact, wildcard, paths };
}

function held(host: string, app: App, origin: RouteInfo["origin"]): Holder & { kind: "app" } {
  return { kind: "app", app, route: { host, app: app.name, appId: app.id, origin } };
}

/** Who answers a host (as `parseHost` gives it), or null. */
export function lookup(table: Table, host: string): Holder | null {
  const exact = table.exact.get(host);
  if (exact !== undefined) return exact;
  const dot = host.indexOf(".");
  return dot < 0 ? null : (table.wildcard.get(host.slice(dot + 1)) ?? null);
}

/** The route of exactly this host, wildcard or not, or null. */
export function routeOf(table: Table, host: string): RouteInfo | null {
  const { host: whole, prefix } = splitRoute(host);
  if (prefix !== "") {
    const part = table.paths.get(whole)?.find((holder) => holder.prefix === prefix);
    return part?.route ?? null;
  }
  const wild = host.startsWith("*.");
  const holder = wild ? table.wildcard.get(host.slice(2)) : table.exact.get(host);
  return holder?.kind === "app" ? holder.route : null;
}

/** The app routes of a table, sorted by host. */
export function listRoutes(table: Table): RouteInfo[] {
  const whole = [...table.exact.values(), ...table.wildcard.values()];
  const parts = [...table.paths.values()].flat();
  return [
    ...whole.flatMap((holder) => (holder.kind === "app" ? [holder.route] : [])),
    ...parts.map(({ route }) => route),
  ].sort((a, b) => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0));
}

/** What an app's current manifest asks for. */
export interface Wish {
  readonly app: App;
  readonly hosts: readonly string[];
}

export interface Claims {
  readonly insert: RouteRow[];
  readonly remove: RouteRow[];
  /** Wishes that were not granted, one sentence each. */
  readonly refused: { readonly app: App; readonly host: string; readonly why: string }[];
}

/**
 * What must change so that each manifest has the hosts it may have: first come keeps a host, and
 * nobody gets the OS's or another app's name. Rows of apps that are gone are removed; what the owner
 * routed to an app that may come back waits, unless somebody else is given the host meanwhile.
 */
export function claim(source: TableSource, wishes: readonly Wish[], now: number): Claims {
  const { domain, apps, removed } = source;
  const waits = (row: RouteRow) => row.origin === "added" && removed?.has(row.appId) === true;
  const rows = source.rows.filter((row) => !waits(row));
  const claims: Claims = { insert: [], remove: [], refused: [] };
  const wanted = wishes.map((wish) => ({ wish, hosts: readHosts(wish, claims) }));
  const live = new Set(apps.map((app) => app.id));
  const asked = new Set(wanted.flatMap(({ wish, hosts }) => hosts.map((h) => key(wish.app.id, h))));
  const taken = new Map(apps.map((app) => [`${app.name}.${domain}`, app.id]));
  for (const row of rows) {
    const stale = row.origin === "manifest" && !asked.has(key(row.appId, row.host));
    if (stale || !live.has(row.appId)) claims.remove.push(row);
    else if (row.origin === "added" || !taken.has(row.host)) taken.set(row.host, row.appId);
  }
  const kept = new Set(rows.map((row) => row.host));
  for (const row of claims.remove) kept.delete(row.host);
  for (const { wish, hosts } of wanted) {
    for (const host of hosts) {
      const why = refusal(host, wish.app.id, { domain, taken, count: kept.size });
      if (why !== null) claims.refused.push({ app: wish.app, host, why });
      if (why !== null || kept.has(host)) continue;
      taken.set(host, wish.app.id);
      kept.add(host);
      claims.insert.push({ host, appId: wish.app.id, origin: "manifest", createdAt: now });
    }
  }
  return claims;
}

const key = (appId: string, host: string): string => `${appId} ${host}`;

function refusal(
  host: string,
  appId: string,
  held: { domain: string; taken: ReadonlyMap<string, string>; count: number },
): string | null {
  if (isReserved(host, held.domain)) return "it is the system's own";
  const holder = held.taken.get(host);
  if (holder !== undefined && holder !== appId) return "another app has it";
  return holder === undefined && held.count >= routesMax ? "the machine has too many routes" : null;
}

function readHosts({ app, hosts }: Wish, claims: Claims): string[] {
  const names = new Set<string>();
  for (const text of hosts) {
    try {
      names.add(routeHost(text));
    } catch (error) {
      const why = error instanceof SysError ? error.message : String(error);
      claims.refused.push({ app, host: text, why });
    }
  }
  return [...names];
}
