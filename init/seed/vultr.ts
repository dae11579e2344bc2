/**
 * Vultr's metadata service. The public card is automatic (DHCP, SLAAC) with further addresses, the
 * private one static.
 * https://docs.vultr.com/reference/metadata
 */
import { z } from "zod";
import { createMetadata } from "./metadata.ts";
import { type LinkWords, withPrefix } from "./network.ts";
import type { Source } from "./source.ts";

const V4 = z.object({ address: z.string(), netmask: z.string() });
const V6 = z.object({ address: z.string(), prefix: z.coerce.number().optional() });
const Card = z.object({
  mac: z.string(),
  "network-type": z.string().optional(),
  ipv4: V4.extend({ additional: z.array(V4).optional() }).optional(),
  ipv6: z.object({ additional: z.array(V6).optional() }).optional(),
});
const Instance = z.object({
  instanceid: z.coerce.string().optional(),
  "instance-v2-id": z.string().optional(),
  hostname: z.string().optional(),
  interfaces: z.array(Card).optional(),
});

function link(card: z.output<typeof Card>): LinkWords {
  const { mac, ipv4, ipv6 } = card;
  if (card["network-type"] === "private") {
    const own = ipv4 === undefined ? [] : [withPrefix(ipv4.address, ipv4.netmask)];
    return { mac, dhcp4: false, addresses: own, gateways: [], dns: [] };
  }
  const more4 = ipv4?.additional ?? [];
  const more6 = ipv6?.additional ?? [];
  return {
    mac,
    dhcp4: true,
    auto6: true,
    addresses: [
      ...more4.map(({ address, netmask }) => withPrefix(address, netmask)),
      ...more6.map(({ address, prefix }) => withPrefix(address, prefix ?? 64)),
    ],
    gateways: [],
    dns: [],
  };
}

export const vultr: Source = {
  name: "Vultr",
  present: ({ dmi }) => dmi.sysVendor === "Vultr",
  read: async (site) => {
    const service = createMetadata(site);
    const headers = { "metadata-token": "vultr" };
    const instance = Instance.safeParse(await service.json("/v1.json", { headers }));
    if (!instance.success) return null;
    const { instanceid, "instance-v2-id": newer, hostname = null, interfaces = [] } = instance.data;
    const userData = await service.get("/latest/user-data", { headers });
    const network = { links: interfaces.map(link) };
    return {
      instanceId: newer ?? instanceid ?? null,
      hostname,
      userData: userData || null,
      network,
    };
  },
};
