/**
 * Cloudflare: records by id, a list of them under one name (API v4, `zones/:id/dns_records`). The
 * token needs the right to edit the zone's DNS.
 */
import { type DnsProvider, zonesOf } from "./provider.ts";
import { createWeb, noZone, quoted } from "./web.ts";

interface Listed {
  readonly result: readonly { readonly id: string; readonly content: string }[];
}

export function createCloudflare(
  secret: string,
  base = "https://api.cloudflare.com/client/v4",
): DnsProvider {
  const web = createWeb(base, "Cloudflare", `Bearer ${secret}`);

  const zoneOf = async (name: string): Promise<string> => {
    for (const zone of zonesOf(name)) {
      const found = await web.ask<Listed>("GET", `/zones?name=${encodeURIComponent(zone)}`);
      const id = found?.result[0]?.id;
      if (id !== undefined) return `/zones/${id}/dns_records`;
    }
    throw noZone("Cloudflare", name);
  };

  /** Ids of the records with this very value; quotes around it come and go. */
  const find = async (records: string, name: string, value: string): Promise<string[]> => {
    const query = `?type=TXT&per_page=100&name=${encodeURIComponent(name)}`;
    const listed = await web.ask<Listed>("GET", records + query);
    const same = (content: string) => content === value || content === quoted(value);
    return (listed?.result ?? []).filter(({ content }) => same(content)).map(({ id }) => id);
  };

  return {
    set: async (name, value) => {
      const records = await zoneOf(name);
      if ((await find(records, name, value)).length > 0) return;
      await web.ask("POST", records, { type: "TXT", name, content: quoted(value), ttl: 60 });
    },
    unset: async (name, value) => {
      const records = await zoneOf(name);
      for (const id of await find(records, name, value)) {
        await web.ask("DELETE", `${records}/${id}`);
      }
    },
  };
}
