/**
 * Certificates: what the TLS listener shows, from the first moment (self-signed) to the day an
 * authority vouches for every host.
 *
 * Rules: nothing is made before `open`; keys are sealed in the database; every change of what is to
 * be shown is told to who watches.
 */
import { X509Certificate } from "node:crypto";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Security } from "../../security/mod.ts";
import type { Storage } from "../../storage/mod.ts";
import { fingerprintOf, isGoodSelf, makeSelf, selfName, selfNames } from "./self.ts";
import { createCertStore, type Keyed } from "./store.ts";
import { dress, isTrusted, type TlsEntry, type Wardrobe } from "./wardrobe.ts";

/** A certificate as it is listed; times in Unix ms. */
export interface CertInfo {
  readonly name: string;
  readonly names: readonly string[];
  readonly issuer: "self" | "acme";
  /** Who signed it, in words: the subject of the signer. */
  readonly issuedBy: string;
  /** SHA-256, `AB:CD:…`. */
  readonly fingerprint: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface Certs {
  /** Reads what there is and signs one itself where there is none. To be called before `tls`. */
  open(): Promise<void>;
  /** The listener's table; the first entry is the default. */
  tls(): readonly TlsEntry[];
  /** Calls `changed` after every change of what is to be shown. */
  watch(changed: () => void): void;
  /** Whether the host has a certificate from an authority now. */
  isTrusted(host: string): boolean;
  ls(): CertInfo[];
  /** The certificate of this name, or that covers it. ENOENT. */
  show(name: string): CertInfo;
  /** SHA-256 of the self-signed certificate, for the console; null before `open`. */
  fingerprint(): string | null;
  /** To be called when the machine's domain may have changed. */
  domainIs(domain: string): void;
}

export interface CertOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly security: Security;
}

export function createCerts(options: CertOptions): Certs {
  const { machine, storage, security } = options;
  const store = createCertStore(storage, security);
  const watchers = new Set<() => void>();
  let domain = "localhost";
  let self: Keyed | null = null;
  let issued: Keyed[] = [];
  let wardrobe: Wardrobe = { entries: [], trusted: new Map() };

  const redress = (): void => {
    if (self === null) return;
    wardrobe = dress(self, issued, `os.${domain}`);
    for (const changed of watchers) changed();
  };

  /** The certificate is shown even where it cannot be kept: on a full disk HTTPS still answers. */
  const keep = (cert: Keyed): Promise<void> =>
    storage
      .write((tx) => store.put(tx, cert), { essential: true })
      .catch((error: unknown) => {
        const text = `cannot keep the self-signed certificate: ${String(error)}`;
        const about = { app: "kernel", appId: null, releaseId: null };
        storage.logs.append({ ...about, level: "error", text });
      });

  const ensureSelf = async (): Promise<void> => {
    const names = selfNames(domain);
    if (isGoodSelf(self, names, machine.now())) return;
    const made = makeSelf(machine, names, self?.key);
    self = made;
    redress();
    await keep(made);
  };

  const all = (): Keyed[] => (self === null ? issued : [self, ...issued]);

  return {
    open: async () => {
      const kept = store.all();
      self = kept.find(({ issuer }) => issuer === "self") ?? null;
      issued = kept.filter(({ issuer }) => issuer === "acme");
      await ensureSelf();
      redress();
    },
    tls: () => wardrobe.entries,
    watch: (changed) => watchers.add(changed),
    isTrusted: (host) => isTrusted(wardrobe, host, machine.now()),
    ls: () => all().map(infoOf),
    show: (name) => {
      const found =
        all().find((cert) => cert.name === name) ??
        issued.find(({ names }) => names.some((one) => one === name));
      if (found !== undefined) return infoOf(found);
      throw new SysError("ENOENT", `cannot show the certificate of "${name}": there is none`, {
        hint: `fazt net cert ls lists them; "${selfName}" is the machine's own`,
      });
    },
    fingerprint: () => (self === null ? null : fingerprintOf(self.chain)),
    domainIs: (now) => {
      if (now === domain) return;
      domain = now;
      if (self !== null) void ensureSelf();
    },
  };
}

function infoOf({ name, names, issuer, chain, notBefore, notAfter }: Keyed): CertInfo {
  const parsed = new X509Certificate(chain);
  const issuedBy = parsed.issuer.replaceAll("\n", ", ");
  const times = { issuedAt: notBefore, expiresAt: notAfter };
  return { name, names, issuer, issuedBy, fingerprint: parsed.fingerprint256, ...times };
}
