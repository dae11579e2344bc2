/**
 * Names of hosts: what a Host header says, what an owner may route, what a listener binds.
 *
 * Rules: pure; a name is lower-case ASCII without port or final dot (IPv6 in brackets); anything
 * doubtful is no name at all, so that two readers of one header never disagree (RFC 9110, 7.2).
 */
import { SysError } from "../errno.ts";
import { hostCharsMax, prefixCharsMax } from "./limits.ts";

const namePattern =
  /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const ipv6Pattern = /^\[[0-9a-f:.]{2,45}\]$/;
const ipv4Pattern = /^\d{1,3}(\.\d{1,3}){3}$/;

/**
 * The host a Host header names, or null when it names none: missing, empty, repeated, with user
 * information, a path, a zone or a bad port.
 */
export function parseHost(header: string | null): string | null {
  if (header === null) return null;
  const text = header.toLowerCase();
  const bracket = text.startsWith("[") ? text.indexOf("]") : -1;
  if (text.startsWith("[") && bracket < 0) return null;
  const colon = text.indexOf(":", bracket + 1);
  if (colon >= 0 && !isPort(text.slice(colon + 1))) return null;
  const host = colon < 0 ? text : text.slice(0, colon);
  if (bracket >= 0) return ipv6Pattern.test(host) ? host : null;
  const name = host.endsWith(".") ? host.slice(0, -1) : host;
  return name.length <= hostCharsMax && namePattern.test(name) ? name : null;
}

/** RFC 3986 allows the port after the colon to be empty. */
function isPort(text: string): boolean {
  return text === "" || (/^\d{1,5}$/.test(text) && Number(text) <= 65_535);
}

/**
 * A host as it is stored for a route: `blog.example.org`, or `*.example.org` for one label below.
 * International names become punycode (UTS 46). EINVAL says what is wrong.
 */
export function routeHost(text: string): string {
  const wrong = (why: string, hint: string): SysError =>
    new SysError("EINVAL", `cannot route "${text.slice(0, 300)}": ${why}`, { hint });
  const trimmed = text.trim().toLowerCase();
  const wildcard = trimmed.startsWith("*.");
  const rest = wildcard ? trimmed.slice(2) : trimmed;
  if (rest.includes("://") || rest.includes("/")) {
    throw wrong("this is a URL", "name the host alone, such as blog.example.org");
  }
  if (rest.includes("*")) {
    throw wrong("a wildcard stands only first", "write *.example.org");
  }
  if (rest.includes(":") || rest.startsWith("[")) {
    throw wrong("routes have no port", "name the host alone, such as blog.example.org");
  }
  const name = toAscii(rest.endsWith(".") ? rest.slice(0, -1) : rest);
  if (name === null || name.length > hostCharsMax || !namePattern.test(name)) {
    throw wrong("not a host name", "use letters, digits, hyphens and dots");
  }
  if (ipv4Pattern.test(name)) {
    throw wrong("an address is not a host name", "route a name and point it at the address");
  }
  return wildcard ? `*.${name}` : name;
}

const prefixPattern = /^(\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/;

/**
 * What a route is for: a host, or one with the beginning of a path, such as `example.org/blog`.
 * EINVAL says what is wrong.
 */
export function routeName(text: string): string {
  const name = text.trim();
  const slash = name.includes("://") ? -1 : name.indexOf("/");
  if (slash < 0) return routeHost(name);
  const host = routeHost(name.slice(0, slash));
  const prefix = name.slice(slash).replace(/\/$/, "");
  if (prefix === "") return host;
  const failed = `cannot route "${text.slice(0, 300)}"`;
  if (host.startsWith("*.")) {
    throw new SysError("EINVAL", `${failed}: a wildcard has no paths`, {
      hint: "route each host's path, or let the app of the wildcard lead there",
    });
  }
  if (prefix.length > prefixCharsMax || !prefixPattern.test(prefix)) {
    throw new SysError("EINVAL", `${failed}: not the beginning of a path`, {
      hint: "use letters, digits, hyphens, dots and slashes, such as example.org/blog",
    });
  }
  return host + prefix;
}

/** The URL parser is the one implementation of UTS 46 at hand. */
function toAscii(name: string): string | null {
  const printable = [...name].every((char) => char > " " && char !== "\u007f");
  if (name === "" || !printable || /[?#@\\%]/.test(name)) return null;
  if (/^[a-z0-9._-]+$/.test(name)) return name;
  const url = URL.parse(`http://${name}/`);
  return url === null || url.pathname !== "/" ? null : url.hostname;
}

/** Whether a peer is this very machine (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). */
export function isLoopback(address: string | null): boolean {
  return address !== null && (address === "::1" || address.startsWith("127."));
}

/** An address as people write it: IPv4 that came in over an IPv6 socket is IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** What a listener binds. */
export interface Bind {
  /** Null is every interface, IPv4 and IPv6. */
  readonly hostname: string | null;
  readonly port: number;
}

/** `127.0.0.1:8080`, `[::1]:8080`, `:8080` (every interface), `:0` (any free port). EINVAL. */
export function parseBind(text: string, flag: "http" | "https" = "http"): Bind {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || port > 65_535) {
    throw new SysError("EINVAL", `cannot listen on "${text.slice(0, 300)}": not an address`, {
      hint: `write --${flag} 127.0.0.1:8080, --${flag} [::1]:8080 or --${flag} :8080`,
    });
  }
  const hostname = match[1] ?? match[2] ?? "";
  return { hostname: hostname === "" ? null : hostname, port };
}
