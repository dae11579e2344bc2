/**
 * The provider the owner has chosen, by its name in the settings.
 */
import type { Machine } from "../../machine.ts";
import { createCloudflare } from "./cloudflare.ts";
import { createDesec } from "./desec.ts";
import { createHetzner } from "./hetzner.ts";
import type { DnsProvider } from "./provider.ts";
import { createUpdates } from "./rfc2136.ts";

export interface ProviderOptions {
  readonly machine: Machine;
  readonly kind: "cloudflare" | "hetzner" | "desec" | "rfc2136";
  /** Where it is asked; null: where it is for everybody. rfc2136 needs one. */
  readonly server: string | null;
  readonly keyName: string | null;
  readonly secret: string;
}

export function createProvider({ machine, kind, server, keyName, secret }: ProviderOptions) {
  const base: [string] | [] = server === null ? [] : [server];
  const makers: Record<ProviderOptions["kind"], () => DnsProvider> = {
    cloudflare: () => createCloudflare(secret, ...base),
    hetzner: () => createHetzner(secret, ...base),
    desec: () => createDesec(secret, ...base),
    rfc2136: () =>
      createUpdates({ machine, server: server ?? "127.0.0.1", keyName: keyName ?? "fazt", secret }),
  };
  return makers[kind]();
}
