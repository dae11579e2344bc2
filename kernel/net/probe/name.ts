/**
 * What the name servers say of a name, record by record.
 */
import { Resolver } from "node:dns/promises";
import { SysError } from "../../errno.ts";
import { nameWaitMs } from "./limits.ts";

export const recordTypes = [
  "A",
  "AAAA",
  "CNAME",
  "MX",
  "TXT",
  "NS",
  "SOA",
  "SRV",
  "CAA",
  "PTR",
] as const;

export type RecordType = (typeof recordTypes)[number];

export interface DnsRecord {
  readonly type: RecordType;
  readonly value: string;
  /** Seconds it may be kept, where the resolver says so. */
  readonly ttlS: number | null;
}

/** Asked for where nobody names one. */
const usual: readonly RecordType[] = ["A", "AAAA", "CNAME", "MX", "TXT", "NS"];

/** One record as text, its parts in the order of a zone file. Pure. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(String).join("");
  const fields = Object.entries(value as Record<string, unknown>);
  return fields
    .filter(([name]) => name !== "ttl" && name !== "type")
    .map(([, field]) => String(field))
    .join(" ");
}

/** No such record is no failure: there may be others. */
const nothing = ["ENODATA", "ENOTFOUND", "ENOTIMP"];

async function ask(resolver: Resolver, name: string, type: RecordType): Promise<DnsRecord[]> {
  if (type === "A" || type === "AAAA") {
    const found =
      type === "A"
        ? await resolver.resolve4(name, { ttl: true })
        : await resolver.resolve6(name, { ttl: true });
    return found.map(({ address, ttl }) => ({ type, value: address, ttlS: ttl }));
  }
  const found: unknown = await resolver.resolve(name, type);
  const list = Array.isArray(found) ? found : [found];
  return list.map((one) => ({ type, value: textOf(one), ttlS: null }));
}

/** The records of a name. ENOENT (none), ETIMEDOUT, EINVAL (no address of a server). */
export async function resolve(
  name: string,
  { type, server }: { readonly type: RecordType | null; readonly server: string | null },
): Promise<DnsRecord[]> {
  const resolver = new Resolver({ timeout: nameWaitMs, tries: 1 });
  if (server !== null) {
    try {
      resolver.setServers([server]);
    } catch (cause) {
      throw new SysError("EINVAL", `cannot ask "${server}": not an address`, {
        hint: "give the server's address, such as 9.9.9.9",
        cause,
      });
    }
  }
  const types = type === null ? usual : [type];
  const asked = await Promise.allSettled(types.map((one) => ask(resolver, name, one)));
  const records = asked.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
  if (records.length > 0) return records;
  const codes = asked.map((one) =>
    one.status === "rejected"
      ? String((one.reason as { code?: unknown }).code).replace(/^DNS_/, "")
      : "",
  );
  const silent = codes.find((code) => code !== "" && !nothing.includes(code));
  if (silent !== undefined) {
    throw new SysError("ETIMEDOUT", `cannot resolve "${name}": no name server answers`, {
      hint: "fazt net iface ls shows the network; --server asks another one",
    });
  }
  throw new SysError("ENOENT", `cannot resolve "${name}": no such record`, {
    hint: "is the name spelled right, and its record published?",
  });
}
