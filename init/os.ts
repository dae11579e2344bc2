/**
 * Answers for the OS host, and for every host while the machine is unclaimed: the calls under
 * `/sys/`, the setup wizard, the shell page, and their files.
 *
 * Rules: an unclaimed machine shows the wizard and nothing else; pages ask nobody but this origin,
 * are never framed and never kept; files are kept for ever under their hash.
 */
import { errnos, SysError } from "../kernel/errno.ts";
import type { OsHandler } from "../kernel/net/mod.ts";
import { createPages, type Page } from "../kernel/page.ts";
import { isSys, type Sys } from "../kernel/syscall/mod.ts";
import { assemblePages, type PageFile } from "./os-page.ts";

/** What a page may do (CSP 3): its own scripts, styles, images and calls; nobody else's. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

const always = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
};

const pageHeaders = {
  ...always,
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy": policy,
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=()",
  "x-frame-options": "DENY",
};

const noSuchPage: Page = {
  status: 404,
  code: "ENOENT",
  title: "Page not found",
  text: "There is nothing at this address.",
  link: { href: "/", label: "Open the OS shell" },
};

/** The handler of the OS host. `suggestedDomain` is what the wizard offers (`--domain`), or null. */
export function createOs(sys: Sys, suggestedDomain: string | null): OsHandler {
  const pages = assemblePages();
  const wizard = pages.setup(suggestedDomain);
  const told = createPages();
  return async (request, { address, secure, unclaimed }) => {
    // HTTP/1.0 without a Host gives a bare path.
    const url = new URL(request.url, "http://localhost");
    if (isSys(url.pathname)) return sys(request, url, { address, secure });
    const file = pages.files.get(url.pathname);
    const isPage = url.pathname === "/" || (unclaimed && asksForPage(request));
    if (file === undefined && !isPage) {
      if (asksForPage(request)) return told(request, noSuchPage, "");
      return nothingHere(url.pathname, unclaimed);
    }
    if (request.method !== "GET" && request.method !== "HEAD") return wrongMethod(request.method);
    if (file !== undefined) return sendFile(request, url, file);
    return send(request, unclaimed ? wizard : pages.shell, pageHeaders);
  };
}

/** Whether a browser wants to show what it gets (RFC 9110, 12.5.1). */
function asksForPage(request: Request): boolean {
  return /\btext\/html\b/i.test(request.headers.get("accept") ?? "");
}

function send(request: Request, text: string, headers: Record<string, string>): Response {
  const length = { "content-length": String(Buffer.byteLength(text)) };
  return new Response(request.method === "HEAD" ? null : text, {
    headers: { ...headers, ...length },
  });
}

function sendFile(request: Request, url: URL, file: PageFile): Response {
  const etag = `"${file.hash}"`;
  const forEver = url.searchParams.get("v") === file.hash;
  const headers = {
    ...always,
    "content-type": file.type,
    "cache-control": forEver ? "public, max-age=31536000, immutable" : "no-cache",
    etag,
  };
  const known = request.headers.get("if-none-match")?.split(",") ?? [];
  const same = known.some((tag) => ["*", etag].includes(tag.trim().replace(/^W\//, "")));
  return same ? new Response(null, { status: 304, headers }) : send(request, file.text, headers);
}

function nothingHere(path: string, unclaimed: boolean): Response {
  const refusal = unclaimed
    ? new SysError("EACCES", "cannot answer: this machine has no owner yet", {
        hint: "open / to claim it",
      })
    : new SysError("ENOENT", `cannot find "${path}": no such page`, { hint: "open /" });
  return refuse(refusal, errnos[refusal.code].status);
}

function wrongMethod(method: string): Response {
  const message = `cannot answer ${method}: pages are read with GET or HEAD`;
  const refusal = new SysError("EINVAL", message, { hint: "make calls under /sys/" });
  const response = refuse(refusal, 405);
  response.headers.set("allow", "GET, HEAD");
  return response;
}

function refuse(refusal: SysError, status: number): Response {
  const headers = { ...always, "cache-control": "no-store" };
  return Response.json({ error: refusal.toBody(null) }, { status, headers });
}
