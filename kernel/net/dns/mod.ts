/**
 * net/dns: providers of DNS, as far as certificates need them: TXT records that come and go.
 *
 * A provider is one file; all keep the guarantees of `provider.ts` and run one suite. It never
 * resolves names for anybody.
 */

export { createProvider } from "./open.ts";
export type { DnsProvider } from "./provider.ts";
export { ProviderError, zonesOf } from "./provider.ts";
