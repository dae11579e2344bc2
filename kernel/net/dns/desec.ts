/**
 * deSEC: a set of records is read and written whole (API v1, `domains/:name/rrsets`); an empty one
 * is gone. A record lives an hour at least, as the service wants it.
 */
import { type DnsProvider, zonesOf } from "./provider.ts";
import { below, createWeb, noZone, quoted } from "./web.ts";

/** The shortest life of a record the service allows, in seconds. */
const ttlS = 3600;

export function createDesec(secret: string, base = "https://desec.io/api/v1"): DnsProvider {
  const web = createWeb(base, "deSEC", `Token ${secret}`);

  const change = async (
    name: string,
    edit: (records: readonly string[]) => readonly string[],
  ): Promise<void> => {
    for (const zone of zonesOf(name)) {
      if ((await web.ask("GET", `/domains/${encodeURIComponent(zone)}/`)) === null) continue;
      const subname = below(name, zone);
      const sets = `/domains/${zone}/rrsets/`;
      const found = await web.ask<{ records: string[] }>("GET", `${sets}${subname}/TXT/`);
      const before = found?.records ?? [];
      const records = edit(before);
      if (records.join() === before.join()) return;
      const plain = subname === "@" ? "" : subname;
      await web.ask("PUT", sets, [{ subname: plain, type: "TXT", ttl: ttlS, records }]);
      return;
    }
    throw noZone("deSEC", name);
  };

  return {
    set: (name, value) =>
      change(name, (records) =>
        records.includes(quoted(value)) ? records : [...records, quoted(value)],
      ),
    unset: (name, value) =>
      change(name, (records) => records.filter((record) => record !== quoted(value))),
  };
}
