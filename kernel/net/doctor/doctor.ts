/**
 * Looks at a host from here: DNS, its ports, CAA, the clock; the judgement is `check.ts`'s. Every
 * look is bounded in time, and all are made at once.
 */
import { Resolver } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import type { Machine } from "../../machine.ts";
import { type Answered, diagnose, type Finding, type Observed } from "./check.ts";

/** What the machine itself knows of the host. */
export interface Known extends Pick<Observed, "host" | "holder" | "certificate"> {
  readonly directory: string;
  /** DNS server to ask, `address:port`; null: the system's. */
  readonly resolver: string | null;
}

/** The longest a look may take, in ms. */
const lookMsMax = 5_000;

/** Names of public authorities in CAA records, by the host of their directory. */
const issuers: Readonly<Record<string, string>> = {
  "acme-v02.api.letsencrypt.org": "letsencrypt.org",
  "acme-staging-v02.api.letsencrypt.org": "letsencrypt.org",
  "acme.zerossl.com": "sectigo.com",
  "dv.acme-v02.api.pki.goog": "pki.goog",
};

export async function examine(machine: Machine, known: Known): Promise<Finding[]> {
  const { host, directory } = known;
  const resolver = new Resolver({ timeout: lookMsMax, tries: 1 });
  if (known.resolver !== null) resolver.setServers([known.resolver]);
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const where = addressesOf(resolver, host);
  const [addresses, http, https, caa, aheadMs] = await Promise.all([
    where,
    where.then((at) => answering("http", host, at)),
    where.then((at) => answering("https", host, at)),
    allowedBy(resolver, host),
    aheadOf(machine, directory),
  ]);
  const { holder, certificate } = known;
  const issuer = issuers[new URL(directory).hostname] ?? null;
  const seen = { addresses, http, https, caa, aheadMs, holder, certificate, issuer };
  return diagnose({ host, own: own.map(({ address }) => address), ...seen });
}

/** Whether a name server said that there is nothing, as against saying nothing at all. */
const isNothing = (error: unknown): boolean =>
  ["ENODATA", "ENOTFOUND"].includes((error as { code?: string }).code ?? "");

async function addressesOf(resolver: Resolver, host: string): Promise<string[] | null> {
  const look = (ask: Promise<string[]>) => ask.catch((e: unknown) => (isNothing(e) ? [] : null));
  const [four, six] = await Promise.all([
    look(resolver.resolve4(host)),
    look(resolver.resolve6(host)),
  ]);
  return four === null && six === null ? null : [...(four ?? []), ...(six ?? [])];
}

/**
 * Who answers at the first of the addresses that were seen, so that nothing is asked twice of DNS;
 * by name where nothing was seen. Certificates are looked at apart.
 */
async function answering(
  scheme: "http" | "https",
  host: string,
  addresses: readonly string[] | null,
): Promise<Answered> {
  const [address = host] = addresses ?? [];
  const there = address.includes(":") ? `[${address}]` : address;
  try {
    const response = await fetch(`${scheme}://${there}/sys/health`, {
      headers: { host },
      redirect: "manual",
      signal: AbortSignal.timeout(lookMsMax),
      proxy: false,
      tls: { serverName: host, rejectUnauthorized: false },
    } as unknown as RequestInit);
    const body = (await response.json().catch(() => null)) as { version?: unknown } | null;
    return typeof body?.version === "string" ? "us" : "other";
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    return { why: code ?? message ?? String(error) };
  }
}

/** The nearest CAA records at or above the name (RFC 8659, 3). */
async function allowedBy(resolver: Resolver, host: string): Promise<string[] | null> {
  const labels = host.split(".");
  for (let i = 0; i < labels.length - 1; i++) {
    const found = await resolver.resolveCaa(labels.slice(i).join(".")).catch(() => []);
    if (found.length === 0) continue;
    return found.flatMap(({ issue }) => (issue === undefined ? [] : [issue.split(";")[0] ?? ""]));
  }
  return null;
}

async function aheadOf(machine: Machine, directory: string): Promise<number | null> {
  try {
    const response = await fetch(directory, {
      method: "HEAD",
      signal: AbortSignal.timeout(lookMsMax),
      tls: { rejectUnauthorized: false },
    });
    const theirs = Date.parse(response.headers.get("date") ?? "");
    return Number.isFinite(theirs) ? machine.now() - theirs : null;
  } catch {
    // Away: that is said by the check of certificates, if it matters.
    return null;
  }
}
