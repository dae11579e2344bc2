/**
 * systemd's credentials: what QEMU and other hypervisors hand over in SMBIOS type 11 strings, as
 * `io.systemd.credential:fazt.user-data=…` (systemd-creds(1), "system credentials").
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cloudNetwork } from "./cloud-network.ts";
import type { Site, Source } from "./source.ts";
import { parseYaml } from "./yaml.ts";

/** The credential's text; null when it was not given. */
function read({ credentialsDir }: Site, name: string): string | null {
  try {
    return readFileSync(join(credentialsDir, name), "utf8");
  } catch {
    return null;
  }
}

export const credential: Source = {
  name: "system credentials",
  present: (site) =>
    read(site, "fazt.user-data") !== null || read(site, "fazt.network-config") !== null,
  read: async (site) => {
    const network = read(site, "fazt.network-config");
    return {
      instanceId: null,
      hostname: null,
      userData: read(site, "fazt.user-data"),
      network: network === null ? null : cloudNetwork(parseYaml("fazt.network-config", network)),
    };
  },
};
