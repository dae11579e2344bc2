/**
 * A site's rules, compiled: redirects, response headers, hidden paths, and the path of a URL
 * turned into the path of a file. Pure.
 *
 * Rules: a URL's path is decoded exactly once; what then holds a separator, NUL, `.` or `..` is
 * the name of no file; a redirect cannot be steered to another host by what its splat matched;
 * header rules cannot touch framing, validators or cookies.
 */
import { manifestPathFault } from "./path.ts";
import type { HeaderRule, Redirect, SiteRules } from "./site.ts";

/** Names nobody may see, whatever the rules say: paths of the manifest's root. */
const alwaysHidden = ["app.json", "private", "node_modules"];

/** Headers that belong to the server: framing, validators, negotiation, cookies. */
const reserved = new Set([
  "accept-ranges",
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "date",
  "etag",
  "keep-alive",
  "last-modified",
  "set-cookie",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "vary",
]);

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What a URL's path names: a relative path ("" is the root), nothing, or nonsense (400). */
export type Named =
  | { readonly kind: "path"; readonly path: string; readonly directory: boolean }
  | { readonly kind: "none" }
  | { readonly kind: "malformed" };

/** The file a URL's path names. `directory` when it ends with a slash. */
export function nameOf(pathname: string): Named {
  let decoded: string;
  try {
    decoded = pathname.includes("%") ? decodeURIComponent(pathname) : pathname;
  } catch {
    // Not percent-encoded UTF-8: the client's mistake, whatever it was meant to be.
    return { kind: "malformed" };
  }
  if (decoded.includes("\0") || !decoded.startsWith("/")) return { kind: "malformed" };
  if (/%2f/i.test(pathname)) return { kind: "none" };
  const directory = decoded.endsWith("/");
  const path = decoded.slice(1, directory ? -1 : undefined);
  if (decoded === "/") return { kind: "path", path: "", directory: true };
  return manifestPathFault(path) === null ? { kind: "path", path, directory } : { kind: "none" };
}

/** Whether a path of the manifest is never served. */
export function isHidden(path: string, hidden: readonly string[]): boolean {
  const under = (name: string): boolean => path === name || path.startsWith(`${name}/`);
  if (alwaysHidden.some(under) || hidden.some(under)) return true;
  return path.split("/").some((name) => name.startsWith(".") && name !== ".well-known");
}

/** A path of the document root as a path of the manifest. */
export function inRoot(rules: SiteRules, path: string): string {
  return rules.root === "" ? path : `${rules.root}/${path}`;
}

/** Where a redirect leads from this path, with the request's query kept, or null. */
export function redirectOf(
  redirects: readonly Redirect[],
  pathname: string,
  search: string,
): { location: string; status: number } | null {
  for (const rule of redirects) {
    const splat = splatOf(rule.from, pathname);
    if (splat === null) continue;
    const target = rule.to.replaceAll(":splat", () => splat);
    const sameHost = rule.to.startsWith("/") && !rule.to.startsWith("//");
    const safe = sameHost ? target.replace(/^[/\\]+/, "/") : target;
    const location = encodeURI(safe).replaceAll(/%25([0-9A-Fa-f]{2})/g, "%$1");
    return { location: safe.includes("?") ? location : location + search, status: rule.status };
  }
  return null;
}

function splatOf(from: string, pathname: string): string | null {
  if (!from.endsWith("/*")) return from === pathname ? "" : null;
  const prefix = from.slice(0, -1);
  if (pathname.startsWith(prefix)) return pathname.slice(prefix.length);
  return pathname === prefix.slice(0, -1) ? "" : null;
}

/** The headers the rules add for a path; later rules win. Names are lower case. */
export function headersFor(rules: readonly HeaderRule[], pathname: string): Map<string, string> {
  const headers = new Map<string, string>();
  for (const rule of rules) {
    if (splatOf(rule.path, pathname) === null) continue;
    for (const [name, value] of Object.entries(rule.headers)) {
      const key = name.toLowerCase();
      if (token.test(key) && !reserved.has(key) && fieldValue.test(value)) headers.set(key, value);
    }
  }
  return headers;
}

/**
 * Whether a name carries a hash of its content, so that it may be cached for good: 8 or more hex
 * digits, with a letter and a digit among them, before the ending of an asset (never of a page).
 */
export function hasContentHash(path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const match =
    /[.-]([0-9a-f]{8,64})\.(?:m?js|css|map|wasm|woff2?|png|jpe?g|webp|avif|svg|gif)$/.exec(name);
  const hash = match?.[1];
  return hash !== undefined && /[a-f]/.test(hash) && /[0-9]/.test(hash);
}
