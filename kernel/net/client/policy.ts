/**
 * What an app's manifest says of how often it may be asked: by one client or by all of them, at
 * every path or at some. Pure, but for the buckets it is given.
 *
 * Rules: every policy that a request matches must have a token, or none is taken; a path is compared
 * as an app's router reads it, so that no other spelling gets round a policy. Told to clients as in
 * draft-ietf-httpapi-ratelimit-headers-11 (`RateLimit-Policy`, `RateLimit`), with Retry-After
 * (RFC 9110, 10.2.3).
 */
import type { Manifest } from "../../app/mod.ts";
import type { Bucket, Buckets } from "./bucket.ts";
import { rateBurstS } from "./limits.ts";

export interface Policy {
  /** As clients are told: `client`, or what it is about, such as `POST /login`. */
  readonly name: string;
  readonly method: string | null;
  /** A path, or a prefix that ends in `/*`. */
  readonly path: string;
  readonly per: "client" | "app";
  readonly bucket: Bucket;
  /** Requests in `windowS` seconds. */
  readonly quota: number;
  readonly windowS: number;
}

/** How a request stands with one policy. */
interface Standing {
  readonly policy: Policy;
  readonly remaining: number;
  readonly resetS: number;
}

/** What comes of a request at all the policies it matches. */
export interface Judgement {
  readonly admitted: boolean;
  /** `RateLimit`, `RateLimit-Policy`, and `Retry-After` for who is refused. */
  readonly headers: Readonly<Record<string, string>>;
}

/** `n` requests a second, as a policy. */
export function perSecond(name: string, n: number, burstS: number): Policy {
  const burst = Math.max(1, Math.ceil(n * burstS));
  const bucket = { intervalMs: 1000 / n, burst };
  const windowS = Math.max(1, Math.ceil(burst / n));
  return { name, method: null, path: "/*", per: "client", bucket, quota: burst, windowS };
}

/** The policies of a manifest's `rate`. */
export function policiesOf(rate: Manifest["rate"]): readonly Policy[] {
  if (rate === null) return [];
  if (typeof rate === "number") return [perSecond("client", rate, rateBurstS)];
  return rate.map(({ path, method, per, requests, seconds }) => ({
    name: method === null ? path : `${method} ${path}`,
    ...{ method, path, per },
    bucket: { intervalMs: (seconds * 1000) / requests, burst: requests },
    ...{ quota: requests, windowS: seconds },
  }));
}

/** A path as a router reads it: decoded, without empty or dot segments. */
export function plainPath(pathname: string): string {
  if (!/[%\\]|\/\/|\/\./.test(pathname)) return pathname;
  let decoded = pathname;
  try {
    decoded = decodeURIComponent(pathname);
  } catch {
    // Not UTF-8: as it was sent.
  }
  const segments: string[] = [];
  for (const segment of decoded.replaceAll("\\", "/").split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  return `/${segments.join("/")}${decoded.endsWith("/") && segments.length > 0 ? "/" : ""}`;
}

/** Whether a policy is about a request. A final slash makes no difference. */
export function matches(policy: Policy, method: string, path: string): boolean {
  if (policy.method !== null && policy.method !== method) return false;
  if (policy.path === "/*") return true;
  const bare = path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
  if (!policy.path.endsWith("/*")) return bare === policy.path;
  return bare === policy.path.slice(0, -2) || path.startsWith(policy.path.slice(0, -1));
}

/** One request, as far as policies know it. */
export interface Asked {
  /** Whose buckets they are: an app's id, or the system's own. */
  readonly owner: string;
  readonly client: string;
  readonly method: string;
  readonly pathname: string;
}

/** Takes a token of each policy that matches, or of none; null when none matches. */
export function judge(
  policies: readonly Policy[],
  { owner, client, method, pathname }: Asked,
  buckets: Buckets,
): Judgement | null {
  const anywhere = policies.every(({ path }) => path === "/*");
  const path = anywhere ? pathname : plainPath(pathname);
  const drawn = policies
    .map((policy, at) => ({ policy, key: `${owner} ${at} ${policy.per === "app" ? "" : client}` }))
    .filter(({ policy }) => matches(policy, method, path))
    .map(({ policy, key }) => ({ policy, key, draw: buckets.look(key, policy.bucket) }));
  if (drawn.length === 0) return null;
  const refused = drawn.filter(({ draw }) => draw.fullAtMs === null);
  if (refused.length === 0) {
    for (const { key, draw } of drawn) buckets.take(key, draw.fullAtMs ?? 0);
  }
  const standings = (refused.length === 0 ? drawn : refused).map(({ policy, draw }) => ({
    policy,
    remaining: draw.remaining,
    resetS: Math.max(1, Math.ceil(draw.waitMs / 1000)),
  }));
  return { admitted: refused.length === 0, headers: headersOf(standings, refused.length > 0) };
}

/** A string of RFC 9651, 3.3.3. */
const quoted = (text: string): string =>
  `"${text.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "\\$&")}"`;

function headersOf(standings: readonly Standing[], refused: boolean): Record<string, string> {
  const list = (item: (standing: Standing) => string) =>
    standings.map((standing) => quoted(standing.policy.name) + item(standing)).join(", ");
  const retryS = Math.max(...standings.map(({ resetS }) => resetS));
  return {
    "ratelimit-policy": list(({ policy: { quota, windowS } }) => `;q=${quota};w=${windowS}`),
    ratelimit: list(({ remaining, resetS }) => `;r=${remaining};t=${resetS}`),
    ...(refused && { "retry-after": String(retryS) }),
  };
}
