/**
 * The two spellings of a name: `example.org` and `www.example.org`. Who has the one has the other as
 * well, as long as nobody was given it: it leads there. Pure.
 */
import { lookup, routeOf, type Table } from "../table.ts";
import type { Rules } from "./rule.ts";

/** A host of an app, and its other spelling, which nobody has. */
export interface Sibling {
  /** Who answers. */
  readonly host: string;
  /** What leads there. */
  readonly name: string;
  /** Whether the owner called the host the app's primary one. */
  readonly primary: boolean;
}

const www = "www.";

const otherSpelling = (host: string): string =>
  host.startsWith(www) ? host.slice(www.length) : www + host;

type Primaries = Pick<Rules, "primary" | "redirect">;

/**
 * The host that a request is to be made to instead: the primary one of the app that has this one,
 * or the other spelling where only that is an app's. Null: this one.
 */
export function betterHost(host: string, table: Table, rules: Primaries): string | null {
  const holder = lookup(table, host);
  if (holder === null) {
    const sibling = otherSpelling(host);
    const route = host.includes(".") ? routeOf(table, sibling) : null;
    return route === null ? null : (primaryOf(route.appId, table, rules) ?? sibling);
  }
  // Hosts below a wildcard are not other names of the same.
  if (holder.kind !== "app" || holder.route.host !== host) return null;
  const primary = primaryOf(holder.app.id, table, rules);
  return primary === host ? null : primary;
}

/** The app's primary host, as long as it still has it. */
function primaryOf(appId: string, table: Table, rules: Primaries): string | null {
  const primary = rules.primary(appId);
  return primary !== null && routeOf(table, primary)?.appId === appId ? primary : null;
}

/** Every spelling that leads to an app's host and has no other meaning. */
export function siblingsOf(table: Table, rules: Primaries): Sibling[] {
  return [...table.exact].flatMap(([host, holder]) => {
    const name = otherSpelling(host);
    if (holder.kind !== "app" || !name.includes(".")) return [];
    const primary = rules.primary(holder.app.id) === host;
    // What follows from an app's name is below the machine's domain, and needs no www.
    if (holder.route.origin === "name" && !primary) return [];
    const free = lookup(table, name) === null && rules.redirect(name) === null;
    return free ? [{ host, name, primary }] : [];
  });
}
