/**
 * Hetzner Cloud's metadata service. Version 4 comes by DHCP (a /32, gateway 172.31.1.1), version 6
 * is static with the gateway fe80::1, as its network configuration says.
 * https://docs.hetzner.cloud/reference/cloud#server-metadata
 */
import { z } from "zod";
import { cloudNetwork } from "./cloud-network.ts";
import { createMetadata } from "./metadata.ts";
import type { Source } from "./source.ts";
import { parseYaml } from "./yaml.ts";

const base = "/hetzner/v1";

const Server = z.object({
  "instance-id": z.coerce.string().optional(),
  hostname: z.string().optional(),
  "network-config": z.unknown(),
});

export const hetzner: Source = {
  name: "Hetzner",
  present: ({ dmi }) => dmi.sysVendor === "Hetzner",
  read: async (site) => {
    const service = createMetadata(site);
    const text = await service.get(`${base}/metadata`);
    if (text === null) return null;
    const server = Server.safeParse(parseYaml("metadata", text));
    if (!server.success) return null;
    const { "instance-id": instanceId = null, hostname = null } = server.data;
    const apart = server.data["network-config"] === undefined;
    const config = apart
      ? parseYaml("network-config", (await service.get(`${base}/network-config`)) ?? "")
      : server.data["network-config"];
    const userData = await service.get(`${base}/userdata`);
    return { instanceId, hostname, userData, network: cloudNetwork(config) };
  },
};
