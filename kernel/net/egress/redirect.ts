/**
 * What follows an answer that redirects, by the Fetch standard (HTTP-redirect fetch): the next
 * URL, method, headers and whether the body goes along.
 *
 * Rules: pure; credentials never follow to another origin; the next hop is checked like the first.
 */
import type { HeaderLines } from "./secret.ts";

/** One request of a chain. */
export interface Hop {
  readonly url: URL;
  readonly method: string;
  readonly headers: HeaderLines;
  /** Whether the body is sent. */
  readonly body: boolean;
}

const statuses: readonly number[] = [301, 302, 303, 307, 308];
const ofBody = new Set(["content-encoding", "content-language", "content-location"]);
const credentials = new Set(["authorization", "cookie", "proxy-authorization"]);

/** The next hop; null when the answer is the last; a text says why it cannot be followed. */
export function nextHop(
  hop: Hop,
  { status, location }: { status: number; location: string | null },
): Hop | string | null {
  if (!statuses.includes(status) || location === null) return null;
  const url = URL.parse(location, hop.url.href);
  if (url === null) return "redirected to what is no URL";
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return `redirected to "${url.protocol}"`;
  }
  if (url.hash === "") url.hash = hop.url.hash;
  const { method } = hop;
  const becomesGet =
    (status === 303 && method !== "GET" && method !== "HEAD") ||
    ((status === 301 || status === 302) && method === "POST");
  const leaves = url.origin !== hop.url.origin;
  const headers = hop.headers.filter(([name]) => {
    const lower = name.toLowerCase();
    if (leaves && credentials.has(lower)) return false;
    return !(becomesGet && (ofBody.has(lower) || lower.startsWith("content-")));
  });
  return {
    url,
    method: becomesGet ? "GET" : method,
    headers,
    body: hop.body && !becomesGet,
  };
}
