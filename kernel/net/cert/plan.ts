/**
 * Which certificates a machine should have, from its routes. Pure.
 *
 * Rules: only hosts that are routed, and only names that the public DNS can know; below the domain
 * one wildcard where records can be set in DNS, else a certificate a host; what a wildcard of ours
 * covers needs none of its own.
 */
import { isIP } from "node:net";
import type { Sibling } from "../rule/mod.ts";
import { renewAtPart, renewJitterPart } from "./limits.ts";

/** A certificate to have: its names, the first of which it is called by. */
export interface Wanted {
  readonly name: string;
  readonly names: readonly string[];
}

export interface Hosts {
  readonly domain: string;
  /** Exact hosts that somebody answers. */
  readonly exact: readonly string[];
  /** Hosts one label below which everything is answered, without `*.`. */
  readonly wildcard: readonly string[];
  /** Names that lead to an exact host, if DNS has them. */
  readonly siblings: readonly Sibling[];
}

/** Names that are never in the public DNS (RFC 6761, 6762, 8375, 9476), and the documents' own. */
const special =
  /(^|\.)(localhost|local|internal|lan|home|test|invalid|example|onion|alt|home\.arpa|example\.(com|net|org))$/;

/** Whether an authority could know the name. */
export function isPublicName(name: string): boolean {
  const host = name.replace(/^\*\./, "");
  return isIP(host) === 0 && !host.startsWith("[") && host.includes(".") && !special.test(host);
}

/** Whether the authority could know the name; `any`: it is one of the owner's own. */
export function isFit(name: string, any: boolean): boolean {
  if (!any) return isPublicName(name);
  return !/(^|\.)localhost$/.test(name) && isIP(name) === 0 && name.includes(".");
}

/** What the machine should have. `dns`: records can be set, so wildcards can be proved. */
export function wantedCerts(
  hosts: Omit<Hosts, "siblings">,
  { dns, any }: { dns: boolean; any: boolean },
): Wanted[] {
  const fit = (name: string): boolean => isFit(name, any);
  const exact = hosts.exact.filter((host) => !host.startsWith("[") && fit(host)).sort();
  if (!dns) return exact.map((name) => ({ name, names: [name] }));
  const below = new Set(hosts.wildcard.filter(fit));
  if (fit(hosts.domain)) below.add(hosts.domain);
  const wild = [...below].sort().map((parent) => ({
    name: `*.${parent}`,
    names: exact.includes(parent) ? [`*.${parent}`, parent] : [`*.${parent}`],
  }));
  const covered = new Set(wild.flatMap(({ names }) => names));
  const alone = exact.filter(
    (host) => !covered.has(host) && !below.has(host.slice(host.indexOf(".") + 1)),
  );
  return [...wild, ...alone.map((name) => ({ name, names: [name] }))];
}

/** When a certificate is to be renewed: at two thirds of its life, a little earlier by chance. */
export function renewalAt(
  { notBefore, notAfter }: { notBefore: number; notAfter: number },
  chance: number,
): number {
  const lifeMs = notAfter - notBefore;
  return Math.round(notBefore + lifeMs * (renewAtPart - renewJitterPart * chance));
}

/** A window in which an authority wants a certificate renewed (RFC 9773, 4.2), Unix ms. */
export interface Window {
  readonly start: number;
  readonly end: number;
}

/** The moment in the window that is ours: chosen once by chance, never after our own time. */
export function withinWindow(window: Window, ownAt: number, chance: number): number {
  return Math.min(ownAt, Math.round(window.start + (window.end - window.start) * chance));
}
