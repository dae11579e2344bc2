/**
 * Pages the kernel itself answers visitors with. One small HTML page without requests of its own,
 * or the bridges' JSON error when the client asks for that. A leaf: net says what is refused, proc
 * what became of an app, the OS host what it has not.
 *
 * Rules: a page names no app, no path and no cause; it reads well at 360 px, by keyboard and
 * aloud, in light and dark; it is never cached, framed or scripted.
 */
import type { Errno } from "./errno.ts";

export interface Page {
  readonly status: number;
  /** For JSON clients; null on the landing page, which is no error. */
  readonly code: Errno | null;
  readonly title: string;
  /** One or two plain sentences. */
  readonly text: string;
  /** For JSON clients: what to do. */
  readonly hint?: string;
  readonly link?: { readonly href: string; readonly label: string };
  readonly headers?: Readonly<Record<string, string>>;
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

/**
 * Makes responses of pages; `mark` is what the owner finds in a log: the id of a request or an
 * incident, empty for none.
 */
export type Pages = (request: Request, page: Page, mark: string) => Response;

/** Holds the style's hash, so that the policy allows that style alone. */
export function createPages(): Pages {
  const hash = new Bun.CryptoHasher("sha256").update(style).digest("base64");
  const policy =
    `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; ` +
    "frame-ancestors 'none'";
  return (request, page, mark) => {
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
    const body = json ? jsonOf(page) : htmlOf(page, mark);
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
    error: { code: page.code, message: page.text, hint: page.hint ?? null, call: null },
  });
}

function htmlOf(page: Page, mark: string): string {
  const title = Bun.escapeHTML(page.title);
  const link =
    page.link === undefined
      ? ""
      : `<p><a href="${Bun.escapeHTML(page.link.href)}">${Bun.escapeHTML(page.link.label)}</a></p>`;
  const marks = [String(page.status), mark].filter((one) => one !== "").join(" · ");
  const foot = page.status < 400 ? "" : `<small>${Bun.escapeHTML(marks)}</small>`;
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>` +
    '<meta name="viewport" content="width=device-width,initial-scale=1">' +
    `<style>${style}</style></head><body><main><h1>${title}</h1>` +
    `<p>${Bun.escapeHTML(page.text)}</p>${link}${foot}</main></body></html>`
  );
}
