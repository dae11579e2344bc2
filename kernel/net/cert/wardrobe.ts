/**
 * Which certificate is shown to whom: the table of server names (SNI, RFC 6066) the listener is
 * made with, and whether a host has a certificate that the world trusts. Pure.
 *
 * Rules: of two certificates for one name the one that lasts longer is taken; a wildcard stands for
 * one label; what has no certificate of its own is shown the first of the table.
 */
import type { Keyed } from "./store.ts";

/** One line of the listener's table; the first is shown to whoever names no known host. */
export interface TlsEntry {
  readonly key: string;
  readonly cert: string;
  readonly serverName?: string;
}

export interface Wardrobe {
  readonly entries: readonly TlsEntry[];
  /** Names, wildcards as such, with a certificate from an authority, and until when (Unix ms). */
  readonly trusted: ReadonlyMap<string, number>;
}

/** Makes the table. `main` is the host whose certificate is the first, if it has one. */
export function dress(self: Keyed, issued: readonly Keyed[], main: string): Wardrobe {
  const best = new Map<string, Keyed>();
  for (const cert of issued) {
    for (const name of cert.names) {
      const rival = best.get(name);
      if (rival === undefined || rival.notAfter < cert.notAfter) best.set(name, cert);
    }
  }
  const first = best.get(main) ?? best.get(parentOf(main)) ?? self;
  const entries: TlsEntry[] = [{ key: first.key, cert: first.chain }];
  const named = [...best].map(([name, cert]) => [name, cert] as const);
  if (first !== self) {
    // Else local names would be shown the domain's certificate.
    for (const name of self.names) if (!best.has(name)) named.push([name, self]);
  }
  for (const [serverName, { key, chain }] of named) entries.push({ key, cert: chain, serverName });
  const trusted = new Map([...best].map(([name, cert]) => [name, cert.notAfter]));
  return { entries, trusted };
}

const parentOf = (host: string): string => `*.${host.slice(host.indexOf(".") + 1)}`;

/** Whether a certificate for these names is one for the host. */
export const covers = (names: readonly string[], host: string): boolean =>
  names.includes(host) || names.includes(parentOf(host));

/** Whether the host has a certificate from an authority that is good at `now`. */
export function isTrusted({ trusted }: Wardrobe, host: string, now: number): boolean {
  const until = trusted.get(host) ?? trusted.get(parentOf(host)) ?? 0;
  return until > now;
}
