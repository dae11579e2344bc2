/**
 * The network configuration formats of cloud-init, versions 1 and 2, as far as one Ethernet card
 * needs them: NoCloud volumes and Hetzner speak them. Bonds, VLANs and bridges are passed over.
 * https://cloudinit.readthedocs.io/en/latest/reference/network-config.html
 */
import { z } from "zod";
import { type LinkWords, type NetworkWords, withPrefix } from "./network.ts";

const Texts = z.union([z.string().transform((one) => [one]), z.array(z.string())]);
const Mask = z.union([z.string(), z.number()]);

const Subnet = z.object({
  type: z.string().optional(),
  ipv4: z.boolean().optional(),
  ipv6: z.boolean().optional(),
  address: z.string().optional(),
  netmask: Mask.optional(),
  gateway: z.string().optional(),
  dns_nameservers: Texts.optional(),
  dns_search: Texts.optional(),
});

const Version1 = z.object({
  version: z.literal(1),
  config: z.array(
    z.object({
      type: z.string(),
      name: z.string().optional(),
      mac_address: z.string().optional(),
      mtu: z.number().optional(),
      address: Texts.optional(),
      search: Texts.optional(),
      subnets: z.array(Subnet).optional(),
    }),
  ),
});

const Servers = z.object({ addresses: Texts.optional(), search: Texts.optional() });

const Version2 = z.object({
  version: z.literal(2),
  ethernets: z
    .record(
      z.string(),
      z.object({
        match: z
          .object({ macaddress: z.string().optional(), name: z.string().optional() })
          .optional(),
        dhcp4: z.boolean().optional(),
        dhcp6: z.boolean().optional(),
        "accept-ra": z.boolean().optional(),
        addresses: z.array(z.string()).optional(),
        gateway4: z.string().optional(),
        gateway6: z.string().optional(),
        routes: z.array(z.object({ to: z.string(), via: z.string().optional() })).optional(),
        nameservers: Servers.optional(),
        mtu: z.number().optional(),
      }),
    )
    .optional(),
});

type Subnet = z.output<typeof Subnet>;

const isDhcp4 = ({ type, ipv6 }: Subnet) => type === "dhcp4" || (type === "dhcp" && ipv6 !== true);
const isAuto6 = ({ type = "", ipv6 }: Subnet) =>
  /^(dhcp6|ipv6_)/.test(type) || (type === "dhcp" && ipv6 === true);

function version1({ config }: z.output<typeof Version1>): NetworkWords {
  const cards = new Map<string, LinkWords>();
  // Servers said apart are everybody's.
  const common = config.filter(({ type }) => type === "nameserver");
  const everywhere = common.flatMap(({ address = [] }) => address);
  const search = common.flatMap(({ search: list = [] }) => list);
  for (const { type, name, mac_address: mac, mtu, subnets = [] } of config) {
    if (type !== "physical") continue;
    // "eth0:0" is one more address of eth0.
    const plain = name?.split(":", 1)[0];
    const before = cards.get(plain ?? mac ?? "");
    const dhcp4 = subnets.some(isDhcp4);
    const auto6 = subnets.some(isAuto6);
    search.push(...subnets.flatMap(({ dns_search: list = [] }) => list));
    cards.set(plain ?? mac ?? "", {
      name: plain,
      mac: mac ?? before?.mac,
      dhcp4: dhcp4 ? true : before?.dhcp4,
      auto6: auto6 ? true : before?.auto6,
      mtu: mtu ?? before?.mtu,
      addresses: [
        ...(before?.addresses ?? []),
        ...subnets.flatMap(({ address, netmask }) =>
          address === undefined ? [] : [withPrefix(address, netmask)],
        ),
      ],
      gateways: [...(before?.gateways ?? []), ...subnets.flatMap(({ gateway }) => gateway ?? [])],
      dns: [
        ...(before?.dns ?? everywhere),
        ...subnets.flatMap(({ dns_nameservers: list = [] }) => list),
      ],
    });
  }
  return { links: [...cards.values()], search };
}

const isDefault = (to: string) => ["default", "0.0.0.0/0", "::/0"].includes(to);

function version2({ ethernets = {} }: z.output<typeof Version2>): NetworkWords {
  const cards = Object.entries(ethernets);
  return {
    search: cards.flatMap(([, card]) => card.nameservers?.search ?? []),
    links: cards.map(([id, card]): LinkWords => {
      const { gateway4, gateway6, routes = [] } = card;
      const via = routes.flatMap((route) => (isDefault(route.to) ? (route.via ?? []) : []));
      const auto6 = card.dhcp6 === true || card["accept-ra"] === true;
      return {
        mac: card.match?.macaddress,
        name: card.match?.name ?? id,
        dhcp4: card.dhcp4 ?? (card.addresses === undefined ? undefined : false),
        auto6: auto6 ? true : undefined,
        addresses: card.addresses ?? [],
        gateways: [gateway4 ?? [], gateway6 ?? [], via].flat(),
        dns: card.nameservers?.addresses ?? [],
        mtu: card.mtu,
      };
    }),
  };
}

/** What a configuration of either version says; null when it is neither. */
export function cloudNetwork(raw: unknown): NetworkWords | null {
  // NoCloud files may have everything below one key.
  const inner = z.object({ network: z.unknown() }).safeParse(raw);
  const config = inner.success ? inner.data.network : raw;
  const first = Version1.safeParse(config);
  if (first.success) return version1(first.data);
  const second = Version2.safeParse(config);
  return second.success ? version2(second.data) : null;
}
