/**
 * DigitalOcean's metadata service: one JSON document. Addresses are static, as it lists them.
 * https://docs.digitalocean.com/reference/api/metadata/
 */
import { z } from "zod";
import { createMetadata } from "./metadata.ts";
import { type LinkWords, withPrefix } from "./network.ts";
import type { Source } from "./source.ts";

const V4 = z.object({
  ip_address: z.string(),
  netmask: z.string(),
  gateway: z.string().optional(),
});
const V6 = z.object({ ip_address: z.string(), cidr: z.number(), gateway: z.string().optional() });
const Card = z.object({
  mac: z.string(),
  ipv4: V4.optional(),
  ipv6: V6.optional(),
  anchor_ipv4: V4.optional(),
});
const Droplet = z.object({
  droplet_id: z.coerce.string(),
  hostname: z.string().optional(),
  user_data: z.string().optional(),
  interfaces: z
    .object({ public: z.array(Card), private: z.array(Card) })
    .partial()
    .optional(),
  dns: z.object({ nameservers: z.array(z.string()) }).optional(),
});

type Droplet = z.output<typeof Droplet>;

function link(card: z.output<typeof Card>, dns: readonly string[], isPublic: boolean): LinkWords {
  const { mac, ipv4, ipv6, anchor_ipv4: anchor } = card;
  const all = [ipv4, anchor].flatMap((one) => one ?? []);
  return {
    mac,
    dhcp4: false,
    addresses: [
      ...all.map(({ ip_address, netmask }) => withPrefix(ip_address, netmask)),
      ...(ipv6 === undefined ? [] : [withPrefix(ipv6.ip_address, ipv6.cidr)]),
    ],
    // The way out is the public card; the anchor's gateway is for replies of a reserved address.
    gateways: isPublic ? [ipv4?.gateway ?? [], ipv6?.gateway ?? []].flat() : [],
    dns: isPublic ? dns : [],
  };
}

function linksOf({ interfaces = {}, dns }: Droplet): LinkWords[] {
  const servers = dns?.nameservers ?? [];
  return [
    ...(interfaces.public ?? []).map((card) => link(card, servers, true)),
    ...(interfaces.private ?? []).map((card) => link(card, [], false)),
  ];
}

export const digitalocean: Source = {
  name: "DigitalOcean",
  present: ({ dmi }) => dmi.sysVendor === "DigitalOcean",
  read: async (site) => {
    const droplet = Droplet.safeParse(await createMetadata(site).json("/metadata/v1.json"));
    if (!droplet.success) return null;
    const { droplet_id: instanceId, hostname = null, user_data: userData } = droplet.data;
    const network = { links: linksOf(droplet.data) };
    return { instanceId, hostname, userData: userData || null, network };
  },
};
