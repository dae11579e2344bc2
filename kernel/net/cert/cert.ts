/**
 * Certificates: what the TLS listener shows, from the first moment (self-signed) to the day an
 * authority vouches for every host.
 *
 * Rules: nothing is made before `open`; keys are sealed in the database; every change of what is to
 * be shown is told to who watches; only hosts that are routed are asked for.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Security } from "../../security/mod.ts";
import type { Storage } from "../../storage/mod.ts";
import { type CertInfo, isOverdue, listCerts } from "./info.ts";
import { createIssuer, providerOf } from "./issuer.ts";
import { createLedger, type Entry } from "./ledger.ts";
import { ariEveryMs, ariFirstMs, hstsS } from "./limits.ts";
import { type Hosts, isFit, wantedCerts } from "./plan.ts";
import { fingerprintOf, isGoodSelf, makeSelf, selfName, selfNames } from "./self.ts";
import {
  checkSettings,
  createSettings,
  publicDirectory,
  type Secrets,
  type Settings,
} from "./settings.ts";
import { absent, createSiblings } from "./sibling.ts";
import { createCertStore, type Keyed } from "./store.ts";
import { covers, dress, isTrusted, type TlsEntry, type Wardrobe } from "./wardrobe.ts";

/** A change of settings; what is absent stays. */
export type Change = Partial<Settings & Secrets>;

export interface Certs {
  /** Reads what there is and signs one itself where there is none. To be called before `tls`. */
  open(): Promise<void>;
  /** The listener's table; the first entry is the default. */
  tls(): readonly TlsEntry[];
  /** Calls `changed` after every change of what is to be shown. */
  watch(changed: () => void): void;
  /** Whether the host has a certificate from an authority now. */
  isTrusted(host: string): boolean;
  /** Strict-Transport-Security (RFC 6797) of the host's answers over TLS, or null. */
  hsts(host: string): string | null;
  /** What is answered for a token below `/.well-known/acme-challenge/`, or null (RFC 8555, 8.3). */
  proofOf(token: string): string | null;
  ls(): CertInfo[];
  /** The certificate of this name, or that covers it, or that is to come. ENOENT. */
  show(name: string): CertInfo;
  /**
   * Asks for it anew, now; for a spelling that has none yet, DNS first. ENOENT, EINVAL (the
   * machine's own).
   */
  renew(name: string): Promise<CertInfo>;
  settings(): Settings;
  /** EINVAL, ENOSPC. */
  set(change: Change): Promise<Settings>;
  /** SHA-256 of the self-signed certificate, for the console; null before `open`. */
  fingerprint(): string | null;
  /** Whether a certificate that is in use is long past its renewal. */
  overdue(): boolean;
  /** To be called with the hosts that are routed, whenever they may have changed. */
  serve(hosts: Hosts): void;
  close(): void;
}

export interface CertOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly security: Security;
}

const about = { app: "kernel", appId: null, releaseId: null };

class StoredCerts implements Certs {
  readonly #machine: Machine;
  readonly #storage: Storage;
  readonly #security: Security;
  readonly #store;
  readonly #ledger;
  readonly #settings;
  readonly #issuer;
  readonly #watchers = new Set<() => void>();
  readonly #timer;
  readonly #first;
  readonly #siblings;
  #hosts: Hosts = { domain: "localhost", exact: [], wildcard: [], siblings: [] };
  #self: Keyed | null = null;
  #issued = new Map<string, Keyed>();
  #wardrobe: Wardrobe = { entries: [], trusted: new Map() };

  constructor({ machine, storage, security }: CertOptions) {
    this.#machine = machine;
    this.#storage = storage;
    this.#security = security;
    this.#store = createCertStore(storage, security);
    this.#ledger = createLedger(storage, security);
    this.#settings = createSettings(storage, security);
    this.#issuer = createIssuer({
      machine,
      storage,
      ledger: this.#ledger,
      settings: this.#settings,
      email: () => security.owner()?.email ?? null,
      kept: (name) => this.#issued.get(name) ?? null,
      install: (cert, entry) => this.#install(cert, entry),
      refused: (name, why) => this.#log(`no certificate for "${name}" yet: ${why}`),
      failed: (error) => this.#log(`certificates: ${String(error)}`),
    });
    this.#siblings = createSiblings({
      machine,
      resolver: () => this.#settings.get().resolver,
      kept: (name) => this.#isKept(name),
      changed: () => this.#want(),
    });
    this.#timer = machine.every(ariEveryMs, () => this.#askRenewals());
    this.#first = machine.after(ariFirstMs, () => this.#askRenewals());
  }

  async open(): Promise<void> {
    const kept = this.#store.all();
    this.#self = kept.find(({ issuer }) => issuer === "self") ?? null;
    this.#issued = new Map(
      kept.filter(({ issuer }) => issuer === "acme").map((cert) => [cert.name, cert]),
    );
    this.#issuer.open();
    await this.#ensureSelf();
    this.#redress();
  }

  tls(): readonly TlsEntry[] {
    return this.#wardrobe.entries;
  }

  watch(changed: () => void): void {
    this.#watchers.add(changed);
  }

  isTrusted(host: string): boolean {
    return isTrusted(this.#wardrobe, host, this.#machine.now());
  }

  hsts(host: string): string | null {
    return this.#settings.get().hsts && this.isTrusted(host) ? `max-age=${hstsS}` : null;
  }

  proofOf(token: string): string | null {
    return this.#issuer.proofOf(token);
  }

  ls(): CertInfo[] {
    const certs = [...(this.#self === null ? [] : [this.#self]), ...this.#issued.values()];
    return listCerts(certs, this.#issuer.entries(), this.#machine.now());
  }

  show(name: string): CertInfo {
    const found = this.#find(name);
    if (found !== null) return found;
    throw new SysError("ENOENT", `cannot show the certificate of "${name}": there is none`, {
      hint: `fazt net cert ls lists them; "${selfName}" is the machine's own`,
    });
  }

  async renew(name: string): Promise<CertInfo> {
    const led = this.#find(name) === null ? await this.#siblings.ask(name) : null;
    const found = this.#find(name);
    const { exact } = this.#hosts;
    const local = exact.includes(name) && !isFit(name, this.#anyName());
    if (found === null) throw absent(name, local ? "local" : led);
    if (this.#issuer.hurry(found.name)) return this.show(found.name);
    throw new SysError("EINVAL", `cannot renew "${found.name}": no authority is asked for it`, {
      hint:
        found.issuer === "self"
          ? "it is the machine's own, and renewed by itself"
          : "route its host again: fazt net route add HOST APP",
    });
  }

  settings(): Settings {
    return this.#settings.get();
  }

  async set(change: Change): Promise<Settings> {
    const { bindingKey, providerSecret, ...rest } = change;
    const before = this.#settings.secrets();
    const merged = { ...this.#settings.get(), ...rest };
    const settings = { ...merged, directory: merged.directory ?? publicDirectory };
    const secrets = {
      bindingKey: bindingKey === undefined ? before.bindingKey : bindingKey,
      providerSecret: providerSecret === undefined ? before.providerSecret : providerSecret,
    };
    checkSettings(settings, secrets);
    try {
      providerOf(this.#machine, settings, secrets);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SysError("EINVAL", `cannot set the DNS provider: ${why}`, { cause });
    }
    await this.#settings.set(settings, secrets);
    this.#want();
    // Another name server may say something else.
    this.#siblings.again();
    this.#redress();
    return this.#settings.get();
  }

  fingerprint(): string | null {
    return this.#self === null ? null : fingerprintOf(this.#self.chain);
  }

  overdue(): boolean {
    const now = this.#machine.now();
    return this.#issuer
      .entries()
      .some(({ name, order }) => isOverdue(this.#issued.get(name) ?? null, order, now));
  }

  serve(hosts: Hosts): void {
    const moved = hosts.domain !== this.#hosts.domain;
    this.#hosts = hosts;
    if (this.#self === null) return;
    if (moved) void this.#ensureSelf();
    this.#want();
  }

  close(): void {
    this.#timer.cancel();
    this.#first.cancel();
    this.#siblings.close();
    this.#issuer.close();
  }

  /** Whether the authority is the owner's own, which may know any name. */
  #anyName(): boolean {
    return this.#settings.get().directory !== publicDirectory;
  }

  /** Tells the issuer what the machine should have: nothing before it has an owner. */
  #want(): void {
    const { on, provider } = this.#settings.get();
    const owned = this.#security.owner() !== null;
    const idle = this.#self === null || !on || !owned;
    const how = { dns: provider !== null, any: this.#anyName() };
    const { siblings, exact, ...rest } = this.#hosts;
    this.#siblings.look(idle ? [] : siblings.filter(({ name }) => isFit(name, how.any)));
    const hosts = { ...rest, exact: [...exact, ...this.#siblings.found()] };
    this.#issuer.want(idle ? [] : wantedCerts(hosts, how));
  }

  /** The certificate of this name, that covers it, or that is to come. */
  #find(name: string): CertInfo | null {
    const all = this.ls();
    const own = all.find((one) => one.name === name);
    return own ?? all.find((one) => one.issuer === "acme" && covers(one.names, name)) ?? null;
  }

  /** Whether there is a certificate of this name, or one on its way. */
  #isKept(name: string): boolean {
    return this.#issued.has(name) || this.#issuer.has(name);
  }

  #redress(): void {
    if (this.#self === null) return;
    this.#wardrobe = dress(this.#self, [...this.#issued.values()], `os.${this.#hosts.domain}`);
    for (const changed of this.#watchers) changed();
  }

  async #ensureSelf(): Promise<void> {
    const names = selfNames(this.#hosts.domain);
    if (isGoodSelf(this.#self, names, this.#machine.now())) return;
    const made = makeSelf(this.#machine, names, this.#self?.key);
    this.#self = made;
    this.#redress();
    // It is shown even where it cannot be kept: on a full disk HTTPS still answers.
    await this.#storage
      .write((tx) => this.#store.put(tx, made), { essential: true })
      .catch((error: unknown) =>
        this.#log(`cannot keep the self-signed certificate: ${String(error)}`),
      );
  }

  async #install(cert: Keyed, entry: Entry): Promise<void> {
    const now = this.#machine.now();
    const stale = [...this.#issued.values()].filter(({ notAfter }) => notAfter < now);
    await this.#storage.write(
      (tx) => {
        for (const { name } of stale) this.#store.rm(tx, name);
        this.#store.put(tx, cert);
        this.#ledger.put(tx, entry);
      },
      { essential: true },
    );
    for (const { name } of stale) this.#issued.delete(name);
    this.#issued.set(cert.name, cert);
    this.#redress();
  }

  #askRenewals(): void {
    if (this.#issued.size === 0) return;
    this.#issuer
      .askRenewals()
      .catch((error: unknown) => this.#log(`cannot ask when to renew: ${String(error)}`));
  }

  #log(text: string): void {
    this.#storage.logs.append({ ...about, level: "error", text });
  }
}

/** The certificates of this machine; nothing happens before `open`. */
export function createCerts(options: CertOptions): Certs {
  return new StoredCerts(options);
}
