/**
 * How the machine gets its network: names, and for each interface addresses, gateways and name
 * servers. The one schema of it: the calls, the database and the user-data document read it alike.
 *
 * Rules: an empty configuration is the automatic one (DHCPv4, SLAAC or DHCPv6 as routers say, on
 * every Ethernet interface); what an interface is told goes before `*`, which is for all others.
 */
import { isIP } from "node:net";
import { z } from "zod";
import { addressesMax, linksMax, mtuBytesMax, mtuBytesMin, serversMax } from "./limits.ts";

const few = <T extends z.ZodType>(item: T, max: number) =>
  z
    .array(item)
    .max(max, `must have at most ${max} entries`)
    .default([] as z.output<T>[]);

const Ip = z.string().refine((text) => isIP(text) !== 0 && !text.includes("%"), {
  message: 'must be an IP address such as "192.0.2.1" or "2001:db8::1"',
});

/** Bits of an address with its network, or null when the text is none. */
function prefixOf(text: string): number | null {
  const [, address = "", bits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && Number(bits) <= (version === 4 ? 32 : 128) ? Number(bits) : null;
}

const Cidr = z.string().refine((text) => prefixOf(text) !== null, {
  message: 'must be an address with its network, such as "192.0.2.7/24"',
});

const dnsName =
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const Name = z.string().regex(dnsName, 'must be a name such as "example.org"');

/** A host name as Linux takes it: at most 64 characters, its first label at most 63. */
export const Hostname = Name.max(64, "must be at most 64 characters");

/** An interface's name (at most 15 characters, as Linux has it), or `*` for all others. */
export const LinkName = z
  .string()
  .regex(/^(\*|[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14})$/, 'must be a name such as "eth0", or "*"');

const linkFields = {
  ipv4: z
    .enum(["dhcp", "static", "off"])
    .default("dhcp")
    .describe("version 4: by DHCP, only the addresses given, or not at all"),
  ipv6: z
    .enum(["auto", "static", "off"])
    .default("auto")
    .describe("version 6: as routers say (SLAAC, DHCPv6), only the addresses given, or not at all"),
  addresses: few(Cidr, addressesMax).describe("addresses with their network, as 192.0.2.7/24"),
  gateways: few(Ip, 2).describe("default gateway, one a version; it need not be in the network"),
  dns: few(Ip, serversMax).describe("name servers, instead of those that are announced"),
  mtu: z
    .int()
    .min(mtuBytesMin, `must be ${mtuBytesMin} to ${mtuBytesMax}`)
    .max(mtuBytesMax, `must be ${mtuBytesMin} to ${mtuBytesMax}`)
    .nullable()
    .default(null)
    .describe("largest packet in bytes; null: as announced, or the card's own"),
};

/** What one interface is told, without saying which one. */
export const LinkSettings = z.strictObject(linkFields).superRefine(assertWhole);

export const Link = z
  .strictObject({
    name: LinkName.nullable()
      .default(null)
      .describe('name of the interface, or "*" for all others'),
    mac: z
      .string()
      .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i, 'must be such as "02:fc:00:00:00:01"')
      .transform((text) => text.toLowerCase())
      .nullable()
      .default(null)
      .describe("hardware address of the interface, in place of its name"),
    ...linkFields,
  })
  .superRefine((link, issue) => {
    if ((link.name === null) === (link.mac === null)) {
      issue.addIssue({ code: "custom", message: 'must have "name" or "mac", and not both' });
    }
    assertWhole(link, issue);
  });

/** Says what contradicts itself, in the field that has to change. */
function assertWhole(link: z.output<z.ZodObject<typeof linkFields>>, issue: z.RefinementCtx): void {
  const refuse = (field: string, message: string) =>
    issue.addIssue({ code: "custom", path: [field], message });
  const versions = (list: readonly string[]) => list.map((text) => isIP(text.split("/")[0] ?? ""));
  for (const [version, mode] of [
    [4, link.ipv4],
    [6, link.ipv6],
  ] as const) {
    const has = versions(link.addresses).includes(version);
    const gates = versions(link.gateways).filter((one) => one === version).length;
    if (mode === "static" && !has) refuse("addresses", `must hold one of version ${version}`);
    if (mode === "off" && has)
      refuse("addresses", `must hold none of version ${version}: it is off`);
    if (gates > 1) refuse("gateways", `must hold one of version ${version} at most`);
    if (gates > 0 && !has) refuse("gateways", `must come with an address of version ${version}`);
  }
}

export const Network = z
  .strictObject({
    hostname: Hostname.nullable().default(null).describe("name of the machine; null: as it is"),
    mdns: z.boolean().default(true).describe("answer to <hostname>.local in the local network"),
    search: few(Name, serversMax).describe("domains that are tried after a short name"),
    ntp: few(z.union([Name, Ip]), serversMax).describe(
      "time servers; none: those of DHCP, else pool.ntp.org",
    ),
    links: few(Link, linksMax).describe("interfaces that are not automatic"),
  })
  .superRefine(({ links }, issue) => {
    const keys = links.map(({ name, mac }) => name ?? mac);
    const twice = keys.findIndex((key, index) => keys.indexOf(key) !== index);
    if (twice < 0) return;
    issue.addIssue({ code: "custom", path: ["links", twice], message: "is there twice" });
  });

export type Link = z.output<typeof Link>;
export type LinkSettings = z.output<typeof LinkSettings>;
export type Network = z.output<typeof Network>;

/** What is to change: one interface whole, and of the machine's own fields those that are given. */
export interface NetworkChange {
  readonly link?: { readonly name: string } & LinkSettings;
  readonly machine: Partial<Pick<Network, "hostname" | "mdns" | "search" | "ntp">>;
}

/** The configuration nobody changed: everything automatic. */
export const automatic: Network = Network.parse({});

/**
 * The configuration after a change. Pure; an interface is replaced, not mixed: `mac` is the hardware
 * address of the one that is named, because a cloud may have spoken of it by that.
 */
export function changed(
  network: Network,
  { link, machine }: NetworkChange,
  mac: string | null = null,
): Network {
  const isThis = (one: Link) =>
    link !== undefined && (one.name === link.name || (mac !== null && one.mac === mac));
  const others = network.links.filter((one) => !isThis(one));
  const links = link === undefined ? others : [...others, { ...link, mac: null }];
  return { ...network, ...machine, links };
}

/** A configuration out of the database: what a newer kernel added is passed over (EDD). */
export function storedNetwork(json: string): Network {
  const raw = JSON.parse(json) as Record<string, unknown>;
  const known = Object.fromEntries(Object.entries(raw).filter(([key]) => key in automatic));
  const parsed = Network.safeParse(known);
  return parsed.success ? parsed.data : automatic;
}
