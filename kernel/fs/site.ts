/**
 * Static serving: a site answers GET and HEAD from a release's manifest.
 *
 * Rules: RFC 9110 for conditional and range requests, content negotiation by q-values; hot files
 * come from a byte-bounded LRU of ready bodies; a file over 5 MB is streamed by chunk; the answer
 * never depends on another site's files.
 */
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
}
