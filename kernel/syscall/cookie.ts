/**
 * The session cookie: `__Host-fazt` over TLS, `fazt` on plain HTTP (where browsers refuse the
 * prefix), HttpOnly, SameSite=Strict. A cookie alone is never enough: the request must also come
 * from our own origin (RFC 6265bis; Fetch Metadata).
 */
const nameOf = (secure: boolean): string => (secure ? "__Host-fazt" : "fazt");

/** Set-Cookie for a new session; `expiresAt` is Unix ms. */
export function sessionCookie(secret: string, expiresAt: number, secure: boolean): string {
  const expires = new Date(expiresAt).toUTCString();
  const flags = `Path=/; HttpOnly; SameSite=Strict${secure ? "; Secure" : ""}`;
  return `${nameOf(secure)}=${secret}; Expires=${expires}; ${flags}`;
}

/** Set-Cookie that ends it. */
export function clearCookie(secure: boolean): string {
  return sessionCookie("", 0, secure);
}

/** The session secret a request carries, or null. */
export function readCookie(headers: Headers, secure: boolean): string | null {
  const cookie = headers.get("cookie");
  if (cookie === null) return null;
  const prefix = `${nameOf(secure)}=`;
  for (const part of cookie.split(";")) {
    const pair = part.trim();
    if (pair.startsWith(prefix) && pair.length > prefix.length) return pair.slice(prefix.length);
  }
  return null;
}

/**
 * Whether a browser says the request was made by a page of this very origin. What was asked over TLS
 * is not for a page that came without, which anybody on its way may have written; without TLS the
 * page's scheme is whatever something in front of this machine speaks.
 */
export function sameOrigin(request: Request, secure: boolean): boolean {
  const origin = request.headers.get("origin");
  if (origin !== null) {
    const from = URL.parse(origin);
    const safe = !secure || from?.protocol === "https:";
    return safe && from?.host === hostOf(request);
  }
  return request.headers.get("sec-fetch-site") === "same-origin";
}

function hostOf(request: Request): string {
  return request.headers.get("host") ?? new URL(request.url).host;
}
