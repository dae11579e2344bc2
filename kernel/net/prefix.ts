/**
 * Routes of a part of a host: `example.org/blog` is an app's, whoever has the rest.
 *
 * Rules: pure; a prefix is whole segments of the path as it was sent (after the one normalisation
 * that every path has), the longest wins; the app is asked as if it had the host to itself, and
 * where it leads to a path of its own, its visitors are led to the same below the prefix.
 */
import type { PathHolder, Table } from "./table.ts";

/** The host of a route's name, and its prefix ("" for the whole host). */
export function splitRoute(name: string): { host: string; prefix: string } {
  const slash = name.indexOf("/");
  return slash < 0
    ? { host: name, prefix: "" }
    : { host: name.slice(0, slash), prefix: name.slice(slash) };
}

/** Who has the part of a host that a path is in, or null. */
export function lookupPath(table: Table, host: string, pathname: string): PathHolder | null {
  const within = ({ prefix }: PathHolder) =>
    pathname.startsWith(prefix) &&
    (pathname.length === prefix.length || pathname[prefix.length] === "/");
  return table.paths.get(host)?.find(within) ?? null;
}

/** The URL as the app sees it: without the prefix. */
export function withoutPrefix(url: string, prefix: string): string {
  const start = url.indexOf("/", "https://".length);
  const rest = url.slice(start + prefix.length);
  return url.slice(0, start) + (rest.startsWith("/") ? rest : `/${rest}`);
}

/** Where a Location of the app leads its visitors: a path of its own is below the prefix. */
export function withPrefix(location: string, prefix: string): string {
  const own = location.startsWith("/") && !location.startsWith("//");
  const below = location === prefix || location.startsWith(`${prefix}/`);
  return own && !below ? prefix + location : location;
}
