/**
 * OpenStack's metadata, by its service or on a config drive: the same documents on both.
 * https://docs.openstack.org/nova/latest/user/metadata.html
 */
import { z } from "zod";
import { SysError } from "../../kernel/errno.ts";
import type { Dmi } from "./dmi.ts";
import { createMetadata } from "./metadata.ts";
import { type LinkWords, type NetworkWords, withPrefix } from "./network.ts";
import type { Found, Source } from "./source.ts";

const base = "openstack/latest";

const Meta = z.object({ uuid: z.string(), hostname: z.string().optional() });

const Service = z.object({ type: z.string(), address: z.string() });
const Route = z.object({
  network: z.string(),
  netmask: z.string().optional(),
  gateway: z.string(),
});
const NetworkData = z.object({
  links: z.array(
    z.object({
      id: z.string(),
      ethernet_mac_address: z.string().optional(),
      mtu: z.number().nullable().optional(),
    }),
  ),
  networks: z.array(
    z.object({
      link: z.string(),
      type: z.string(),
      ip_address: z.string().optional(),
      netmask: z.string().optional(),
      gateway: z.string().nullable().optional(),
      routes: z.array(Route).optional(),
      services: z.array(Service).optional(),
    }),
  ),
  services: z.array(Service).optional(),
});

const dnsOf = (services: readonly z.output<typeof Service>[] = []) =>
  services.filter(({ type }) => type === "dns").map(({ address }) => address);

const isDefault = ({ network }: z.output<typeof Route>) => ["0.0.0.0", "::"].includes(network);

/** What `network_data.json` says; null when it cannot be read. */
function networkWords(raw: unknown): NetworkWords | null {
  const data = NetworkData.safeParse(raw);
  if (!data.success) return null;
  const { links, networks, services } = data.data;
  return {
    links: links.map((link): LinkWords => {
      const own = networks.filter((one) => one.link === link.id);
      const types = own.map(({ type }) => type);
      const dhcp4 = types.includes("ipv4_dhcp");
      const auto6 = types.some((type) => /^ipv6_(dhcp|slaac)/.test(type));
      const said = own.flatMap(({ type, ip_address: address, netmask }) =>
        address === undefined || /_(dhcp|slaac)/.test(type) ? [] : [withPrefix(address, netmask)],
      );
      return {
        mac: link.ethernet_mac_address,
        dhcp4: dhcp4 ? true : said.length > 0 ? false : undefined,
        auto6: auto6 ? true : undefined,
        addresses: said,
        gateways: own.flatMap(({ gateway, routes = [] }) => [
          ...(gateway == null ? [] : [gateway]),
          ...routes.filter(isDefault).map((route) => route.gateway),
        ]),
        dns: dhcp4 ? [] : [...own.flatMap((one) => dnsOf(one.services)), ...dnsOf(services)],
        mtu: link.mtu ?? undefined,
      };
    }),
  };
}

/** What its documents say, wherever they are read from. */
async function found(
  read: (path: string) => string | null | Promise<string | null>,
): Promise<Found | null> {
  const json = async (path: string) => {
    const text = await read(path);
    try {
      return text === null ? null : JSON.parse(text);
    } catch {
      throw new SysError("EBADMSG", `cannot read "${path}": it is not JSON`);
    }
  };
  const meta = Meta.safeParse(await json(`${base}/meta_data.json`));
  if (!meta.success) return null;
  const { uuid: instanceId, hostname = null } = meta.data;
  const network = networkWords(await json(`${base}/network_data.json`));
  const userData = await read(`${base}/user_data`);
  return { instanceId, hostname, userData: userData || null, network };
}

const products = ["OpenStack Nova", "OpenStack Compute"];
const tags = ["OpenTelekomCloud", "SAP CCloud VM", "HUAWEICLOUD"];

const isOpenStack = ({ productName, sysVendor, chassisTag }: Dmi) =>
  products.includes(productName) ||
  sysVendor === "OpenStack Foundation" ||
  [...products, ...tags].includes(chassisTag);

export const openstack: Source = {
  name: "OpenStack",
  present: ({ dmi }) => isOpenStack(dmi),
  read: (site) => {
    const service = createMetadata(site);
    return found((path) => service.get(`/${path}`));
  },
};

const labels = ["config-2", "CONFIG-2"];

export const configDrive: Source = {
  name: "config drive",
  present: (site) => site.hasVolume(labels),
  read: async (site) => {
    const volume = await site.volume(labels);
    if (volume === null) return null;
    try {
      return await found((path) => volume.read(path));
    } finally {
      await volume.close();
    }
  },
};
