/**
 * Static serving: a site answers GET and HEAD from a release's manifest; other methods are the
 * app's own.
 *
 * Rules: a URL's path is decoded exactly once, and what then holds a separator, NUL, `.` or `..`
 * names no file; hidden paths are never served; a redirect cannot be steered to another host by
 * what its splat matched; header rules cannot touch framing, validators or cookies; the answer
 * never depends on another site's files. What is sent for a file is `page.ts`.
 */
import type { ManifestFile, Manifests } from "./fs.ts";
import { codings, contentTypeOf, isCompressible, sidecarEnding } from "./http.ts";
import { limits } from "./limits.ts";
import { Page, type PageContext, type PageFile, type Rendition, remember } from "./page.ts";
import { manifestPathFault } from "./path.ts";
import { type VariantStore, worthTrying } from "./variant.ts";

export interface Redirect {
  /** Absolute path; a final `/*` matches anything below and `:splat` in `to` carries it. */
  readonly from: string;
  readonly to: string;
  readonly status: 301 | 302 | 303 | 307 | 308;
}

export interface HeaderRule {
  /** Absolute path, or a prefix ending in `/*`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface SiteRules {
  /** Folder of the manifest that is the document root, without slashes; "" is the whole release. */
  readonly root: string;
  /** Paths of the manifest never served, such as `private` or the server's entry. */
  readonly hidden: readonly string[];
  /** Unknown paths without an extension answer `/index.html`. */
  readonly spa: boolean;
  /**
   * Whether a server answers what is no file. Then `spa` holds only for navigations (requests
   * whose Accept names `text/html`), so that the app's own routes reach it.
   */
  readonly server?: boolean;
  readonly redirects: readonly Redirect[];
  readonly headers: readonly HeaderRule[];
  /** Unix ms, the Last-Modified of every file. */
  readonly modifiedAt: number;
}

export interface Site {
  /**
   * The answer to a request for a file of this site, or null when it has none (then the app's
   * server is asked, or `notFound`). `pathname` is the URL's path, still percent-encoded.
   */
  answer(request: Request, pathname: string): Response | Promise<Response> | null;
  /** The site's own 404 page when it has one (`404.html`), else null. SPA answers come first. */
  notFound(request: Request, pathname: string): Response | null;
  /** Bytes of the file a GET of the path has just been answered with whole, or null. */
  sizeOf(request: Request, pathname: string): number | null;
}

/** What sites stand on, shared by all of them. */
export interface SiteContext extends PageContext {
  readonly manifests: Manifests;
  readonly variants: VariantStore;
}

/** What a path was found to be. */
type Found =
  | { readonly kind: "file"; readonly file: ManifestFile }
  | { readonly kind: "directory" }
  | { readonly kind: "malformed" }
  | { readonly kind: "none" };

const defaultCaching = "public, max-age=0, must-revalidate";
const foreverCaching = "public, max-age=31536000, immutable";

/** The site of one manifest. */
export class ManifestSite implements Site {
  readonly #context: SiteContext;
  readonly #manifestId: string;
  readonly #rules: SiteRules;
  readonly #pages = new Map<string, Page>();
  readonly #misses = new Map<string, true>();
  /** The pages that stand in for missing ones, by file and, with header rules, by path. */
  readonly #standIns = new Map<string, Page>();

  constructor(context: SiteContext, manifestId: string, rules: SiteRules) {
    this.#context = context;
    this.#manifestId = manifestId;
    this.#rules = rules;
  }

  answer(request: Request, pathname: string): Response | null {
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") return null;
    const page = this.#pages.get(pathname);
    if (page !== undefined && page.generation === this.#context.variants.generation) {
      return page.answer(request);
    }
    return this.#resolve(request, pathname);
  }

  notFound(request: Request, pathname: string): Response | null {
    const file = this.#file("404.html");
    if (file === null) return null;
    return this.#standIn(file, pathname).answerAs(404, request);
  }

  sizeOf(request: Request, pathname: string): number | null {
    return this.#pages.get(pathname)?.sizeOf(request) ?? null;
  }

  /** The first time a path is asked for, or again after a variant was made. */
  #resolve(request: Request, pathname: string): Response | null {
    const redirect = redirectOf(this.#rules.redirects, pathname, searchOf(request.url));
    if (redirect !== null) return redirectTo(redirect.location, redirect.status);
    const missed = this.#misses.has(pathname);
    const found: Found = missed ? { kind: "none" } : this.#find(pathname);
    if (found.kind === "malformed") return badRequest();
    if (found.kind === "directory") return redirectTo(`${pathname}/${searchOf(request.url)}`, 308);
    if (found.kind === "file") return this.#serve(request, pathname, found.file);
    if (!missed) remember(this.#misses, [pathname, true], limits.siteMissesMax);
    const fallback = this.#fallback(request, pathname);
    return fallback === null ? null : this.#standIn(fallback, pathname).answer(request);
  }

  #serve(request: Request, pathname: string, file: ManifestFile): Response {
    const page = this.#page(file, pathname);
    this.#pages.delete(pathname);
    remember(this.#pages, [pathname, page], limits.sitePagesMax);
    return page.answer(request);
  }

  #find(pathname: string): Found {
    const named = nameOf(pathname);
    if (named.kind !== "path") return named;
    const { path, directory } = named;
    const exact = directory ? this.#file(joined(path, "index.html")) : this.#file(path);
    if (exact !== null) return { kind: "file", file: exact };
    if (directory) return { kind: "none" };
    if (this.#file(`${path}/index.html`) !== null) return { kind: "directory" };
    const clean = this.#file(`${path}.html`);
    return clean === null ? { kind: "none" } : { kind: "file", file: clean };
  }

  /** The page of a single-page application, for paths that look like pages. */
  #fallback(request: Request, pathname: string): ManifestFile | null {
    if (!this.#rules.spa) return null;
    if (pathname.slice(pathname.lastIndexOf("/")).includes(".")) return null;
    const navigation = request.headers.get("accept")?.includes("text/html") ?? false;
    if (this.#rules.server === true && !navigation) return null;
    return this.#file("index.html");
  }

  /** A file of the document root that may be served, or null. */
  #file(path: string): ManifestFile | null {
    const inManifest = inRoot(this.#rules, path);
    if (path === "" || isHidden(inManifest, this.#rules.hidden)) return null;
    return this.#context.manifests.get(this.#manifestId, inManifest);
  }

  #standIn(file: ManifestFile, pathname: string): Page {
    const key = this.#rules.headers.length === 0 ? file.path : `${file.path} ${pathname}`;
    const known = this.#standIns.get(key);
    if (known?.generation === this.#context.variants.generation) return known;
    const page = this.#page(file, pathname);
    this.#standIns.delete(key);
    remember(this.#standIns, [key, page], limits.siteMissesMax);
    return page;
  }

  #page(file: ManifestFile, pathname: string): Page {
    const contentType = contentTypeOf(file.path);
    const sidecars = this.#sidecars(file);
    const compressed = isCompressible(contentType) && worthTrying(file.sizeBytes);
    const headers = headersFor(this.#rules.headers, pathname);
    if (!headers.has("cache-control")) {
      headers.set("cache-control", hasContentHash(file.path) ? foreverCaching : defaultCaching);
    }
    const served: PageFile = {
      hash: file.hash,
      sizeBytes: file.sizeBytes,
      contentType,
      modifiedAt: this.#rules.modifiedAt,
      headers,
      negotiable: compressed || sidecars.length > 0,
    };
    const { variants } = this.#context;
    const { generation } = variants;
    const derived = compressed ? variants.of(file.hash).map(renditionOf) : [];
    return new Page(this.#context, served, {
      renditions: [...derived, ...sidecars],
      generation,
      want: (coding) => {
        if (compressed) variants.want(file.hash, coding);
      },
    });
  }

  /** Compressed files the release brings itself, beside the file. */
  #sidecars(file: ManifestFile): Rendition[] {
    const found: Rendition[] = [];
    for (const coding of codings) {
      const path = `${file.path}${sidecarEnding[coding]}`;
      const sidecar = this.#context.manifests.get(this.#manifestId, path);
      if (sidecar === null) continue;
      found.push({ encoding: coding, hash: sidecar.hash, sizeBytes: sidecar.sizeBytes });
    }
    return found;
  }
}

function renditionOf(variant: { coding: Rendition["encoding"]; hash: string; sizeBytes: number }) {
  return { encoding: variant.coding, hash: variant.hash, sizeBytes: variant.sizeBytes };
}

function joined(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

function searchOf(url: string): string {
  const at = url.indexOf("?");
  return at < 0 ? "" : url.slice(at);
}

function redirectTo(location: string, status: number): Response {
  return new Response(null, { status, headers: { location } });
}

function badRequest(): Response {
  return new Response("The path of this URL cannot be read.\n", {
    status: 400,
    headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  });
}

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
function inRoot(rules: SiteRules, path: string): string {
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
    const location = encodeURI(safe.toWellFormed()).replaceAll(/%25([0-9A-Fa-f]{2})/g, "%$1");
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
