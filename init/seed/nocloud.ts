/**
 * NoCloud: a volume labelled CIDATA with `user-data`, `meta-data` and `network-config`, as virtual
 * machine hosts and people with a stick make it.
 * https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
 */
import { z } from "zod";
import { cloudNetwork } from "./cloud-network.ts";
import type { Source, Volume } from "./source.ts";
import { parseYaml } from "./yaml.ts";

const labels = ["CIDATA", "cidata"];

const MetaData = z.object({
  "instance-id": z.coerce.string().optional(),
  "local-hostname": z.string().optional(),
  hostname: z.string().optional(),
});

function found(volume: Volume) {
  const meta = MetaData.safeParse(parseYaml("meta-data", volume.read("meta-data") ?? "") ?? {});
  const network = volume.read("network-config");
  return {
    instanceId: meta.data?.["instance-id"] ?? null,
    hostname: meta.data?.["local-hostname"] ?? meta.data?.hostname ?? null,
    userData: volume.read("user-data"),
    network: network === null ? null : cloudNetwork(parseYaml("network-config", network)),
  };
}

export const nocloud: Source = {
  name: "NoCloud volume CIDATA",
  present: (site) => site.hasVolume(labels),
  read: async (site) => {
    const volume = await site.volume(labels);
    if (volume === null) return null;
    try {
      return found(volume);
    } finally {
      await volume.close();
    }
  },
};
