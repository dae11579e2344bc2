/**
 * Pages the kernel itself answers with: the landing page and every refusal. One small HTML page
 * without requests of its own, or the bridges' JSON error when the client asks for that.
 *
 * Rules: a page names no app, no path and no cause; it reads well at 360 px, by keyboard and
 * aloud, in light and dark; it is never cached, framed or scripted.
 */
import type { Errno } from "../errno.ts";

export interface Page {
  readonly status: number;
  /** For JSON clients; null on the landing page, which is no error. */
  readonly code: Errno | null;
  readonly title: string;
  /** One or two plain sentences. */
  readonly text: string;
  readonly link?: { readonly href: string; readonly label: string };
  readonly headers?: Readonly<Record<string, string>>;
}

/** Every refusal of the listener, by what went wrong. */
export const refusals = {
  badHost: {
    status: 400,
    code: "EINVAL",
    title: "Bad request",
    text: "The request does not name one valid host.",
  },
  badTarget: {
    status: 400,
    code: "EINVAL",
    title: "Bad request",
    text: "The request does not name a path on this server.",
  },
  badFraming: {
    status: 400,
    code: "EINVAL",
    title: "Bad request",
    text: "The request does not say in one way how long its body is.",
    headers: { connection: "close" },
  },
  unknownHost: {
    status: 421,
    code: "ENOENT",
    title: "Nothing here",
    text: "This server does not answer for this host name.",
  },
  notFound: {
    status: 404,
    code: "ENOENT",
    title: "Page not found",
    text: "There is nothing at this address.",
  },
  notDeployed: {
    status: 404,
    code: "ENOENT",
    title: "Nothing here yet",
    text: "This app has not been deployed yet.",
  },
  method: {
    status: 405,
    code: "EINVAL",
    title: "Method not allowed",
    text: "Files are read with GET or HEAD.",
    headers: { allow: "GET, HEAD" },
  },
  forbiddenMethod: {
    status: 405,
    code: "EINVAL",
    title: "Method not allowed",
    text: "This method is never answered here.",
    headers: { allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" },
  },
  tooLarge: {
    status: 413,
    code: "EFBIG",
    title: "Too large",
    text: "The body of the request is larger than this server takes.",
    headers: { connection: "close" },
  },
  tooSlow: {
    status: 408,
    code: "ETIMEDOUT",
    title: "Too slow",
    text: "The body of the request took too long to arrive.",
    headers: { connection: "close" },
  },
  broken: {
    status: 502,
    code: "EIO",
    title: "Something broke",
    text: "The app could not answer this request. The number below is in its log.",
  },
  denied: {
    status: 403,
    code: "EACCES",
    title: "Not for you",
    text: "This server does not answer clients of your network.",
    headers: { connection: "close" },
  },
  busy: {
    status: 503,
    code: "EAGAIN",
    title: "Busy",
    text: "This server has as many requests as it takes. Please try again in a moment.",
    headers: { "retry-after": "2" },
  },
  cockpitOnly: {
    status: 503,
    code: "EAGAIN",
    title: "Out of breath",
    text: "This server is short of memory and answers only its owner. Please try again in a minute.",
    headers: { "retry-after": "60" },
  },
} as const satisfies Record<string, Page>;

/** The answer to a request that is to be made at another URL. */
export function moved(url: string, permanent = true): Page {
  return {
    status: permanent ? 308 : 307,
    code: null,
    title: "Moved",
    text: "This page is at another address.",
    link: { href: url, label: "Go there" },
    headers: { location: url },
  };
}

/** The answer to a client that asks too often; the headers say how often it may. */
export function tooMany(headers: Readonly<Record<string, string>>): Page {
  return {
    status: 429,
    code: "EAGAIN",
    title: "Too many requests",
    text: `You ask more often than you may here. Please try again in ${headers["retry-after"]} s.`,
    headers,
  };
}

/** The page of an app that is being worked on. */
export function resting(retryAfterS: number): Page {
  return {
    status: 503,
    code: "EAGAIN",
    title: "Back soon",
    text: "This app is being worked on. Please try again in a few minutes.",
    headers: { "retry-after": String(retryAfterS) },
  };
}

/** The landing page of a claimed machine: says what it is and where its owner goes. */
export function landing(osUrl: string): Page {
  return {
    status: 200,
    code: null,
    title: "This is a fazt machine",
    text: "It runs its owner's apps. There is nothing at this address itself.",
    link: { href: osUrl, label: "Sign in as the owner" },
  };
}

const style = [
  ":root{color-scheme:light dark;--ink:#1c1b19;--paper:#fbfaf7;--soft:#5c5850}",
  "@media(prefers-color-scheme:dark){:root{--ink:#efece4;--paper:#171614;--soft:#b3ada1}}",
  "body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);",
  "color:var(--ink);font:1rem/1.5 system-ui,sans-serif}",
  "main{box-sizing:border-box;width:100%;max-width:34rem;padding:1.5rem}",
  "h1{font-size:1.6rem;line-height:1.2;margin:0 0 .75rem}p{margin:0 0 1rem}",
  "a{color:inherit}small{color:var(--soft);overflow-wrap:anywhere}",
].join("");

/** Makes responses of pages; holds the style's hash, so that the policy allows that style alone. */
export type Pages = (request: Request, page: Page, requestId: string) => Response;

export function createPages(): Pages {
  const hash = new Bun.CryptoHasher("sha256").update(style).digest("base64");
  const policy =
    `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; ` +
    "frame-ancestors 'none'";
  return (request, page, requestId) => {
    const json = page.code !== null && wantsJson(request.headers.get("accept"));
    const headers = {
      "content-type": json ? "application/json" : "text/html; charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy": policy,
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      vary: "accept",
      ...page.headers,
    };
    const body = json ? jsonOf(page) : htmlOf(page, requestId);
    return new Response(body, { status: page.status, headers });
  };
}

/** Whether JSON is named before, or without, HTML. */
export function wantsJson(accept: string | null): boolean {
  if (accept === null) return false;
  const json = accept.search(/application\/([a-z.-]+\+)?json/i);
  const html = accept.search(/text\/html/i);
  return json >= 0 && (html < 0 || json < html);
}

function jsonOf(page: Page): string {
  return JSON.stringify({
    error: { code: page.code, message: page.text, hint: null, call: null },
  });
}

function htmlOf(page: Page, requestId: string): string {
  const title = Bun.escapeHTML(page.title);
  const link =
    page.link === undefined
      ? ""
      : `<p><a href="${Bun.escapeHTML(page.link.href)}">${Bun.escapeHTML(page.link.label)}</a></p>`;
  const foot =
    page.status < 400 ? "" : `<small>${page.status} · ${Bun.escapeHTML(requestId)}</small>`;
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>` +
    '<meta name="viewport" content="width=device-width,initial-scale=1">' +
    `<style>${style}</style></head><body><main><h1>${title}</h1>` +
    `<p>${Bun.escapeHTML(page.text)}</p>${link}${foot}</main></body></html>`
  );
}
