/**
 * What a client sees when an app cannot answer: a plain page, or JSON for those who ask for it.
 * Nothing of the app's inside is told; the incident id leads its owner to the log.
 */
import { type Errno, errnos } from "../errno.ts";

export interface Trouble {
  readonly code: Errno;
  readonly status: number;
  readonly title: string;
  /** One sentence for the visitor. */
  readonly text: string;
  readonly incident: string | null;
  readonly retryAfterS: number | null;
}

/** The answer for a request that has no answer. */
export function troublePage(request: Request, trouble: Trouble): Response {
  const headers = new Headers({ "cache-control": "no-store" });
  if (trouble.retryAfterS !== null) headers.set("retry-after", String(trouble.retryAfterS));
  const { status } = trouble;
  if (wantsJson(request)) {
    headers.set("content-type", "application/json;charset=utf-8");
    const hint = trouble.incident === null ? null : `the log has incident ${trouble.incident}`;
    const error = { code: trouble.code, message: trouble.text, hint, call: null };
    return new Response(`${JSON.stringify({ error })}\n`, { status, headers });
  }
  headers.set("content-type", "text/html;charset=utf-8");
  headers.set("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'");
  return new Response(html(trouble), { status, headers });
}

function wantsJson(request: Request): boolean {
  const accept = request.headers.get("accept") ?? "";
  return accept.includes("json") && !accept.includes("text/html");
}

function html({ title, text, incident }: Trouble): string {
  const note = incident === null ? "" : `<p>Incident <code>${incident}</code></p>`;
  const style =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}" +
    "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}";
  return (
    '<!doctype html><html lang="en"><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width">' +
    `<title>${title}</title><style>${style}</style>` +
    `<main><h1>${title}</h1><p>${text}</p>${note}</main></html>\n`
  );
}

/** The app broke or did not answer in time. */
export function brokenApp(status: 502 | 504, incident: string): Trouble {
  const code: Errno = status === 504 ? "ETIMEDOUT" : "EIO";
  const title = status === 504 ? "The app took too long" : "The app broke";
  const text =
    status === 504
      ? "It did not answer in time. Try again in a moment."
      : "Something went wrong while it answered. Try again in a moment.";
  return { code, status, title, text, incident, retryAfterS: null };
}

/** The app is not running, and this request will not start it. */
export function absentApp(text: string, retryAfterS: number | null): Trouble {
  const status = retryAfterS === null ? 503 : Math.max(503, errnos.EAGAIN.status);
  return {
    code: "EAGAIN",
    status,
    title: "The app is not running",
    text,
    incident: null,
    retryAfterS,
  };
}
