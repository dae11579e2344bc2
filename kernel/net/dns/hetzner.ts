/**
 * Hetzner: sets of records in a zone of the Cloud interface (v1, `zones/:name/rrsets`), changed by
 * actions that add and remove single records.
 */
import { type DnsProvider, zonesOf } from "./provider.ts";
import { below, createWeb, noZone, quoted } from "./web.ts";

interface RecordSet {
  readonly rrset: { readonly records: readonly { readonly value: string }[] };
}

export function createHetzner(secret: string, base = "https://api.hetzner.cloud/v1"): DnsProvider {
  const web = createWeb(base, "Hetzner", `Bearer ${secret}`);

  const setOf = async (name: string): Promise<string> => {
    for (const zone of zonesOf(name)) {
      const found = await web.ask("GET", `/zones/${encodeURIComponent(zone)}`);
      if (found !== null) return `/zones/${zone}/rrsets/${below(name, zone)}/TXT`;
    }
    throw noZone("Hetzner", name);
  };
  const has = async (path: string, value: string): Promise<boolean> => {
    const found = await web.ask<RecordSet>("GET", path);
    return found?.rrset.records.some((record) => record.value === quoted(value)) ?? false;
  };

  return {
    set: async (name, value) => {
      const path = await setOf(name);
      if (await has(path, value)) return;
      const records = [{ value: quoted(value) }];
      await web.ask("POST", `${path}/actions/add_records`, { ttl: 60, records });
    },
    unset: async (name, value) => {
      const path = await setOf(name);
      if (!(await has(path, value))) return;
      const records = [{ value: quoted(value) }];
      await web.ask("POST", `${path}/actions/remove_records`, { records });
    },
  };
}
