/**
 * Which other spellings (`www.example.org` beside `example.org`) get a certificate too: those that
 * DNS leads to the same place. An authority would refuse the rest, again and again.
 *
 * Rules: DNS is asked when routes change, when somebody wants to know, and every `siblingEveryMs`,
 * one name after the other; what was found stays while DNS cannot be asked. Below a record for `*.example.org` every name has its
 * `www.`: so it is only for names that are a zone of their own, or that the owner called primary.
 */
import { Resolver } from "node:dns/promises";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Sibling } from "../rule/mod.ts";
import { siblingEveryMs, siblingLookMsMax } from "./limits.ts";

/** What DNS says: null where it could not be asked. */
export interface Led {
  readonly host: readonly string[] | null;
  readonly name: readonly string[] | null;
  /** Whether the host has name servers of its own. */
  readonly zone: boolean | null;
}

/** Whether a name is to have a certificate; null: that cannot be told now. Pure. */
export function isLed({ host, primary }: Sibling, seen: Led): boolean | null {
  if (seen.name?.length === 0 || seen.host?.length === 0) return false;
  if (seen.host === null || seen.name === null) return null;
  const there = new Set(seen.host);
  if (!seen.name.some((address) => there.has(address))) return false;
  return primary || host.startsWith("www.") ? true : seen.zone;
}

/** What DNS says of a spelling, for who asks why it has no certificate. */
export type Where = "here" | "nowhere" | "elsewhere" | "no zone" | "unknown";

/** Where DNS leads a spelling. Pure. */
export function whereOf(sibling: Sibling, seen: Led): Where {
  const led = isLed(sibling, seen);
  if (led === null) return "unknown";
  if (led) return "here";
  if (seen.name?.length === 0) return "nowhere";
  return seen.name?.some((address) => seen.host?.includes(address)) ? "no zone" : "elsewhere";
}

/** A state, and what to do. */
type Reason = readonly [state: string, hint: string];

/** ENOENT: why there is nothing to renew; `local`: a name that no authority knows. Pure. */
export function absent(
  name: string,
  why: "local" | { host: string; where: Where } | null,
): SysError {
  const [state, hint] = reasonOf(name, why);
  return new SysError("ENOENT", `cannot renew the certificate of "${name}": ${state}`, { hint });
}

function reasonOf(name: string, why: "local" | { host: string; where: Where } | null): Reason {
  if (why === null)
    return ["there is none", "fazt net cert ls lists them; route a host to have one"];
  if (why === "local")
    return ["no authority knows such a name", "it is shown the machine's own: self-signed"];
  const { host, where } = why;
  const reasons: Readonly<Record<Where, Reason>> = {
    here: ["there is none", "is an authority asked at all? fazt net acme show"],
    nowhere: ["DNS has no such name", `give it the addresses of "${host}", and try again`],
    elsewhere: ["DNS leads it elsewhere", `give it the addresses of "${host}", and try again`],
    "no zone": [
      `"${host}" is no zone of its own`,
      `say that it is the app's name: fazt net primary set APP ${host}`,
    ],
    unknown: ["DNS does not answer", `try again later; fazt net doctor ${name} says more`],
  };
  return reasons[where];
}

export interface SiblingOptions {
  readonly machine: Machine;
  /** DNS server to ask, `address:port`; null: the system's. */
  resolver(): string | null;
  /** Whether it has a certificate, or one on its way: so it was led here before. */
  kept(name: string): boolean;
  /** Told when others are found than before. */
  changed(): void;
}

export interface Siblings {
  /** Makes these the ones that are looked at. */
  look(siblings: readonly Sibling[]): void;
  /** Asks DNS for all of them anew. */
  again(): void;
  /** Asks DNS for one of those that are looked at, now; null: it is none of them. */
  ask(name: string): Promise<{ readonly host: string; readonly where: Where } | null>;
  /** Those that are to have a certificate. */
  found(): string[];
  close(): void;
}

export function createSiblings(options: SiblingOptions): Siblings {
  const { machine } = options;
  let wanted: readonly Sibling[] = [];
  const led = new Map<string, boolean>();
  let looking = false;
  /** A round that was asked for during another; `true`: of all of them. */
  let next: boolean | null = null;
  let closed = false;

  const isWanted = (sibling: Sibling): boolean =>
    wanted.some((one) => keyOf(one) === keyOf(sibling));

  const one = async (sibling: Sibling): Promise<Where> => {
    const seen = await ask(sibling, options.resolver());
    const verdict = isLed(sibling, seen);
    const before = led.get(sibling.name) ?? options.kept(sibling.name);
    const where = whereOf(sibling, seen);
    if (closed || verdict === null || !isWanted(sibling)) return where;
    led.set(sibling.name, verdict);
    if (verdict !== before) options.changed();
    return where;
  };

  /** Asks for all of them, or only for those of which nothing is known. */
  const round = async (all: boolean): Promise<void> => {
    if (looking) {
      next = all || next === true;
      return;
    }
    looking = true;
    for (const sibling of wanted) {
      if (closed) break;
      if (all || !led.has(sibling.name)) await one(sibling);
    }
    looking = false;
    const then = next;
    next = null;
    if (then !== null && !closed) await round(then);
  };
  const timer = machine.every(siblingEveryMs, () => void round(true));

  return {
    look: (siblings) => {
      // What was refused to a host may be had by the primary one.
      const known = new Set(wanted.map(keyOf));
      for (const one of siblings) if (!known.has(keyOf(one))) led.delete(one.name);
      const names = new Set(siblings.map(({ name }) => name));
      for (const name of led.keys()) if (!names.has(name)) led.delete(name);
      wanted = siblings;
      void round(false);
    },
    again: () => void round(true),
    ask: async (name) => {
      const sibling = wanted.find((candidate) => candidate.name === name);
      if (sibling === undefined) return null;
      return { host: sibling.host, where: await one(sibling) };
    },
    found: () =>
      wanted.map(({ name }) => name).filter((name) => led.get(name) ?? options.kept(name)),
    close: () => {
      closed = true;
      timer.cancel();
    },
  };
}

const keyOf = ({ host, name, primary }: Sibling): string => `${host} ${name} ${primary}`;

/** Nothing, where a name server said so; null where none said anything. */
const orNothing = (error: unknown): [] | null =>
  ["ENODATA", "ENOTFOUND"].includes((error as { code?: string }).code ?? "") ? [] : null;

async function ask({ host, name }: Sibling, server: string | null): Promise<Led> {
  const resolver = new Resolver({ timeout: siblingLookMsMax, tries: 1 });
  if (server !== null) resolver.setServers([server]);
  const addresses = async (of: string): Promise<string[] | null> => {
    const [four, six] = await Promise.all([
      resolver.resolve4(of).catch(orNothing),
      resolver.resolve6(of).catch(orNothing),
    ]);
    const all = [...(four ?? []), ...(six ?? [])];
    return all.length === 0 && (four === null || six === null) ? null : all;
  };
  const there = await addresses(name);
  if (there === null || there.length === 0) return { host: null, name: there, zone: null };
  const servers = await resolver.resolveNs(host).catch(orNothing);
  return {
    host: await addresses(host),
    name: there,
    zone: servers === null ? null : servers.length > 0,
  };
}
