/**
 * The worker with what it needs: the account at the authority of now, the DNS provider of now, and
 * the look whether a record can be seen.
 *
 * Rules: an account's key is on the disk before the authority hears of it, so that no account is
 * made twice; what the owner changes is used from the next question on.
 */
import { Resolver } from "node:dns/promises";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { createProvider, type DnsProvider, zonesOf } from "../dns/mod.ts";
import { type Authority, createAuthority } from "./authority.ts";
import type { Ledger } from "./ledger.ts";
import { propagationEveryMs, propagationMsMax } from "./limits.ts";
import type { Proof } from "./order.ts";
import { newKey } from "./self.ts";
import type { Secrets, Settings, SettingsStore } from "./settings.ts";
import { createWorker, type Worker, type WorkerOptions } from "./worker.ts";

export interface IssuerOptions
  extends Pick<WorkerOptions, "kept" | "install" | "refused" | "failed"> {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly ledger: Ledger;
  readonly settings: SettingsStore;
  /** The owner's mail address, or null while there is no owner. */
  email(): string | null;
}

export function createIssuer(options: IssuerOptions): Worker {
  const { machine, storage, ledger, settings } = options;
  let known: { of: Settings; authority: Promise<Authority> } | null = null;
  let dns: { of: Settings; provider: DnsProvider | null } | null = null;

  const open = async (of: Settings): Promise<Authority> => {
    const { directory } = of;
    const account = ledger.account(directory) ?? { key: newKey(), url: null };
    const save = (url: string | null) =>
      storage.write((tx) => ledger.putAccount(tx, directory, { key: account.key, url }), {
        essential: true,
      });
    if (account.url === null) await save(null);
    const { bindingKey } = settings.secrets();
    const { bindingId: kid, roots } = of;
    const authority = await createAuthority({
      directory,
      roots,
      accountKey: account.key,
      accountUrl: account.url,
      email: of.email ?? options.email(),
      binding: kid === null || bindingKey === null ? null : { kid, hmacKey: bindingKey },
    });
    if (account.url === null) await save(await authority.register());
    return authority;
  };

  const authority = (): Promise<Authority> => {
    const of = settings.get();
    if (known?.of !== of) {
      const opening = { of, authority: open(of) };
      known = opening;
      // One that could not be opened is opened anew by the next who asks.
      opening.authority.catch(() => {
        if (known === opening) known = null;
      });
    }
    return known.authority;
  };

  const provider = (): DnsProvider | null => {
    const of = settings.get();
    if (dns?.of !== of) dns = { of, provider: providerOf(machine, of, settings.secrets()) };
    return dns.provider;
  };

  const seen = (proof: Proof) => untilSeen(machine, proof, settings.get().resolver);
  return createWorker({ ...options, authority, provider, seen });
}

/** The provider of these settings. ProviderError when they name none that could be. */
export function providerOf(machine: Machine, of: Settings, secrets: Secrets): DnsProvider | null {
  const { provider: kind, providerServer: server, providerKeyName: keyName } = of;
  if (kind === null) return null;
  const secret = secrets.providerSecret ?? "";
  return createProvider({ kind, server, keyName, secret, machine });
}

/** Waits until the zone's servers (or the one that is named) answer with the record, bounded. */
async function untilSeen(machine: Machine, proof: Proof, server: string | null): Promise<void> {
  const record = `_acme-challenge.${proof.name}`;
  const endMs = machine.monotonicMs() + propagationMsMax;
  while (machine.monotonicMs() < endMs) {
    try {
      const resolver = await resolverFor(proof.name, server);
      const texts = await resolver.resolveTxt(record);
      if (texts.some((parts) => parts.join("") === proof.value)) return;
    } catch {
      // Not there yet, or nobody to ask: the authority will see for itself.
    }
    const again = Promise.withResolvers<void>();
    machine.after(propagationEveryMs, again.resolve);
    await again.promise;
  }
}

async function resolverFor(name: string, server: string | null): Promise<Resolver> {
  const resolver = new Resolver({ timeout: 3_000, tries: 1 });
  if (server !== null) {
    resolver.setServers([server]);
    return resolver;
  }
  for (const zone of zonesOf(name)) {
    const servers = await resolver.resolveNs(zone).catch(() => []);
    const addresses = await Promise.all(
      servers.map((one) => resolver.resolve4(one).catch(() => [])),
    );
    if (addresses.flat().length === 0) continue;
    const own = new Resolver({ timeout: 3_000, tries: 1 });
    own.setServers(addresses.flat());
    return own;
  }
  return resolver;
}
