/**
 * The certificate this machine signs itself, so that HTTPS answers from the first moment. People
 * compare its fingerprint with what the console shows; nothing else vouches for it.
 *
 * Rules: its key stays when its names change (another domain) or its time is up.
 */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import type { Machine } from "../../machine.ts";
import { selfSign } from "./der.ts";
import { clockSlackMs, selfLifeMs, selfRenewMs } from "./limits.ts";
import type { Keyed } from "./store.ts";

/** The name it is kept and listed under. */
export const selfName = "self-signed";

/** What it stands for: the domain, every app and the OS host, and local development. */
export function selfNames(domain: string): string[] {
  const local = ["localhost", "*.localhost", "127.0.0.1", "::1"];
  return domain === "localhost" ? local : [domain, `*.${domain}`, ...local];
}

/** Whether a certificate is what it should be at `now`. Pure. */
export function isGoodSelf(kept: Keyed | null, names: readonly string[], now: number): boolean {
  if (kept === null || kept.notAfter - now < selfRenewMs || kept.notBefore > now) return false;
  return kept.names.join() === names.join();
}

/** A new private key: ECDSA P-256 in PKCS 8 PEM. */
export function newKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** Makes it, for the names; with the key it had, if it had one. */
export function makeSelf(machine: Machine, names: readonly string[], key = newKey()): Keyed {
  const now = machine.now();
  const notBefore = now - clockSlackMs;
  const notAfter = now + selfLifeMs;
  const serial = machine.random(16);
  const about = { commonName: `fazt ${names[0]}`, names, notBefore, notAfter, serial };
  const chain = selfSign(about, createPrivateKey(key));
  return { name: selfName, names, issuer: "self", chain, key, notBefore, notAfter, createdAt: now };
}

/** SHA-256 of a certificate as browsers show it: `AB:CD:…`. */
export function fingerprintOf(chain: string): string {
  return new X509Certificate(chain).fingerprint256;
}
