/**
 * Patterns of hosts an app may reach: `api.example.org`, `*.example.org` (every name below it, not
 * itself), `*` (any public host); each with an optional port, else 80 and 443.
 *
 * Rules: pure; names are compared in lower case and punycode, as the URL standard writes them, and
 * without a final dot; an address in a pattern is that address in the URL standard's spelling.
 */
import { SysError } from "../../errno.ts";

/** A pattern, made sense of. */
export interface Pattern {
  /** As it is kept and listed. */
  readonly text: string;
  readonly host: string;
  /** Null: 80 and 443. */
  readonly port: number | null;
}

/** A host and port being asked for. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

const standardPorts: readonly number[] = [80, 443];

/** Reads a pattern. EINVAL with what is wrong. */
export function readPattern(text: string): Pattern {
  const refuse = (state: string): never => {
    throw new SysError("EINVAL", `cannot read host "${text.slice(0, 253)}": ${state}`, {
      hint: 'write "api.example.org", "*.example.org" or "*", with ":port" for another port',
    });
  };
  const found = /^(\*|(?:\*\.)?(?:\[[0-9a-fA-F:.]+\]|[^*:/?#@\s[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (found === null) return refuse("not a host");
  const [, name = "", digits] = found;
  const port = digits === undefined ? null : Number(digits);
  if (port !== null && (port < 1 || port > 65_535)) refuse("no such port");
  const wild = name === "*" ? "*" : name.startsWith("*.") ? "*." : "";
  const rest = name.slice(wild.length);
  const host = rest === "" ? "" : hostOf(rest);
  if (host === null) return refuse("not a host");
  const whole = `${wild}${host}`;
  return { text: port === null ? whole : `${whole}:${port}`, host: whole, port };
}

/** A host as the URL standard writes it; null when it is none. */
function hostOf(text: string): string | null {
  const url = URL.parse(`http://${text}/`);
  return url === null || url.hostname === "" ? null : bareHost(url.hostname);
}

/** A URL's host without a final dot. */
export function bareHost(hostname: string): string {
  return hostname.endsWith(".") ? hostname.slice(0, -1) : hostname;
}

/** Where a URL leads. */
export function targetOf(url: URL): Target {
  const standard = url.protocol === "https:" ? 443 : 80;
  return { host: bareHost(url.hostname), port: url.port === "" ? standard : Number(url.port) };
}

/** Whether a pattern covers a target. */
export function covers(pattern: Pattern, { host, port }: Target): boolean {
  const ports = pattern.port === null ? standardPorts : [pattern.port];
  if (!ports.includes(port)) return false;
  if (pattern.host === "*") return true;
  if (pattern.host.startsWith("*.")) return host.endsWith(pattern.host.slice(1));
  return pattern.host === host;
}
