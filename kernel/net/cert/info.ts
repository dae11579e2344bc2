/**
 * Certificates as people see them: those that are there and those that are on their way, each with
 * what is wrong with it. Pure.
 */
import { X509Certificate } from "node:crypto";
import type { Entry } from "./ledger.ts";
import type { Order, Problem } from "./order.ts";
import type { Keyed } from "./store.ts";

/** One as it is listed; times in Unix ms, null where there is no certificate yet. */
export interface CertInfo {
  readonly name: string;
  readonly names: readonly string[];
  readonly issuer: "self" | "acme";
  /** `coming`: asked for; `failing`: it was refused; `expired`; `good`. */
  readonly state: "good" | "coming" | "failing" | "expired";
  /** What is being done about it: a state of `order.ts`, or null. */
  readonly step: string | null;
  /** Who signed it, in words. */
  readonly issuedBy: string | null;
  /** SHA-256, `AB:CD:…`. */
  readonly fingerprint: string | null;
  readonly issuedAt: number | null;
  readonly expiresAt: number | null;
  /** When an authority is asked next; null when none is. */
  readonly nextAt: number | null;
  readonly problem: Problem | null;
}

const nothing = { issuedBy: null, fingerprint: null, issuedAt: null, expiresAt: null };

/** All of them, the machine's own first. */
export function listCerts(
  certs: readonly Keyed[],
  entries: readonly Entry[],
  now: number,
): CertInfo[] {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const there = certs.map((cert) => infoOf(cert, byName.get(cert.name)?.order ?? null, now));
  const known = new Set(certs.map(({ name }) => name));
  const coming = entries
    .filter(({ name }) => !known.has(name))
    .map(({ name, names, order }): CertInfo => {
      const state = order.problem === null ? "coming" : "failing";
      return { ...nothing, name, names, issuer: "acme", state, ...progress(order) };
    });
  return [...there, ...coming];
}

function infoOf(cert: Keyed, order: Order | null, now: number): CertInfo {
  const { name, names, issuer, chain, notBefore: issuedAt, notAfter: expiresAt } = cert;
  const parsed = new X509Certificate(chain);
  const failing = order !== null && order.problem !== null ? "failing" : "good";
  return {
    name,
    names,
    issuer,
    state: expiresAt <= now ? "expired" : failing,
    issuedBy: parsed.issuer.replaceAll("\n", ", "),
    fingerprint: parsed.fingerprint256,
    issuedAt,
    expiresAt,
    ...(order === null ? { step: null, nextAt: null, problem: null } : progress(order)),
  };
}

function progress({ step, at, problem }: Order): Pick<CertInfo, "step" | "nextAt" | "problem"> {
  return { step: step.kind, nextAt: at, problem };
}

/** Whether its renewal fails and less than a quarter of its life is left. */
export function isOverdue(cert: Keyed | null, { problem }: Order, now: number): boolean {
  if (cert === null || problem === null) return false;
  return cert.notAfter - now < (cert.notAfter - cert.notBefore) / 4;
}
