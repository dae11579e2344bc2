/**
 * Who a client is when it comes through a proxy the owner trusts. Pure.
 *
 * Rules: a forwarded header counts only when the peer itself is trusted; of X-Forwarded-For, which
 * each proxy appends to, the right-most address that is not a trusted proxy's is the client:
 * what stands further left was said by the client. What is no address ends the search.
 */
import { hopsMax } from "./limits.ts";
import { addressText, bytesOf } from "./network.ts";

/** A client behind trusted proxies. */
export interface Forwarded {
  readonly address: string;
  /** Whether it came by HTTPS to the proxy; null when that does not say. */
  readonly secure: boolean | null;
}

/** The client of a request whose peer is trusted. */
export function forwardedBy(
  peer: string,
  headers: Headers,
  isProxy: (address: string) => boolean,
): Forwarded {
  const proto = headers.get("x-forwarded-proto")?.split(",").at(-1)?.trim().toLowerCase();
  const secure = proto === "https" ? true : proto === "http" ? false : null;
  const chain = (headers.get("x-forwarded-for") ?? "").split(",").slice(-hopsMax);
  let address = peer;
  for (const hop of chain.toReversed()) {
    const bytes = bytesOf(bare(hop.trim()));
    if (bytes === null) break;
    address = addressText(bytes);
    if (!isProxy(address)) break;
  }
  return { address, secure };
}

/** Some proxies add the port: `192.0.2.7:4711`, `[2001:db8::7]:4711`. */
function bare(hop: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(hop);
  if (bracketed !== null) return bracketed[1] ?? "";
  return /^[\d.]+:\d+$/.test(hop) ? hop.slice(0, hop.indexOf(":")) : hop;
}
