/**
 * What the owner has said about certificates: the authority, the DNS provider, HSTS. One row of
 * `net_acme`; secrets are sealed apart from the rest and never shown.
 */

import { X509Certificate } from "node:crypto";
import { Resolver } from "node:dns/promises";
import { SysError } from "../../errno.ts";
import type { Security } from "../../security/mod.ts";
import type { Storage } from "../../storage/mod.ts";

/** The public authority that is asked unless the owner names another. */
export const publicDirectory = "https://acme-v02.api.letsencrypt.org/directory";

export const providerKinds = ["cloudflare", "hetzner", "desec", "rfc2136"] as const;
export type ProviderKind = (typeof providerKinds)[number];

export interface Settings {
  /** Whether an authority is asked for certificates at all. */
  readonly on: boolean;
  readonly directory: string;
  /** Whom the authority writes to; null: the owner's address. */
  readonly email: string | null;
  /** PEM of roots to trust for the directory beside the system's. */
  readonly roots: string | null;
  /** Key id of the external account binding. */
  readonly bindingId: string | null;
  readonly provider: ProviderKind | null;
  /** Where the provider's interface is; null: where it is for everybody. */
  readonly providerServer: string | null;
  /** rfc2136: the name and algorithm of the key (TSIG). */
  readonly providerKeyName: string | null;
  /** A DNS server that is asked whether records are there, host:port; null: the zone's own. */
  readonly resolver: string | null;
  readonly hsts: boolean;
}

export interface Secrets {
  readonly bindingKey: string | null;
  readonly providerSecret: string | null;
}

const defaultSettings: Settings = {
  on: true,
  directory: publicDirectory,
  email: null,
  roots: null,
  bindingId: null,
  provider: null,
  providerServer: null,
  providerKeyName: null,
  resolver: null,
  hsts: true,
};

const noSecrets: Secrets = { bindingKey: null, providerSecret: null };
const context = "net.acme";

/** EINVAL when the settings are not whole. */
export function checkSettings(settings: Settings, secrets: Secrets): void {
  const { provider, providerServer, roots, bindingId } = settings;
  const wrong = (why: string, hint: string) =>
    new SysError("EINVAL", `cannot set who issues certificates: ${why}`, { hint });
  if (provider !== null && secrets.providerSecret === null) {
    throw wrong(`"${provider}" needs its secret`, "name a file with it: --provider-secret-file F");
  }
  if (provider === "rfc2136" && providerServer === null) {
    throw wrong("no name server is named", "name it: --provider-server ns.example.org:53");
  }
  if (bindingId !== null && secrets.bindingKey === null) {
    throw wrong("the account binding needs its key", "name a file: --binding-key-file F");
  }
  if (settings.resolver !== null && !isServer(settings.resolver)) {
    throw wrong(`"${settings.resolver}" is no DNS server`, "give its address: 192.0.2.53:53");
  }
  if (roots !== null && !isPem(roots)) {
    throw wrong("the roots are no certificates", "give them in PEM: -----BEGIN CERTIFICATE-----");
  }
}

function isServer(text: string): boolean {
  try {
    new Resolver().setServers([text]);
    return true;
  } catch {
    return false;
  }
}

function isPem(text: string): boolean {
  try {
    return new X509Certificate(text).subject !== "";
  } catch {
    return false;
  }
}

export interface SettingsStore {
  get(): Settings;
  /** EBADMSG when the machine key is not the one that sealed. */
  secrets(): Secrets;
  set(settings: Settings, secrets: Secrets): Promise<void>;
}

export function createSettings(storage: Storage, security: Security): SettingsStore {
  const select = "SELECT settings, sealed FROM net_acme WHERE id = 1";
  const row = () => storage.read.get<{ settings: string; sealed: Uint8Array }>(select);
  let kept: Settings | null = null;
  return {
    get: () => {
      kept ??= { ...defaultSettings, ...(JSON.parse(row()?.settings ?? "{}") as object) };
      return kept;
    },
    secrets: () => {
      const sealed = row()?.sealed;
      if (sealed === undefined) return noSecrets;
      const text = Buffer.from(security.unseal(sealed, context)).toString();
      return { ...noSecrets, ...(JSON.parse(text) as object) };
    },
    set: async (settings, secrets) => {
      const sealed = security.seal(Buffer.from(JSON.stringify(secrets)), context);
      await storage.write((tx) =>
        tx.run(
          `INSERT INTO net_acme (id, settings, sealed) VALUES (1, ?, ?)
           ON CONFLICT (id) DO UPDATE SET settings = excluded.settings, sealed = excluded.sealed`,
          ...[JSON.stringify(settings), sealed],
        ),
      );
      kept = settings;
    },
  };
}
