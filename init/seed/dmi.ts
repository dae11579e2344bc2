/**
 * What the firmware says of the machine (SMBIOS, as Linux shows it under /sys/class/dmi/id): by it
 * a cloud is known before anything is asked of the network.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Dmi {
  readonly sysVendor: string;
  readonly productName: string;
  readonly biosVendor: string;
  readonly chassisTag: string;
}

/** Reads it; what the firmware does not say is empty. */
export function readDmi(dir = "/sys/class/dmi/id"): Dmi {
  const read = (name: string) => {
    try {
      return readFileSync(join(dir, name), "utf8").trim();
    } catch {
      // No such string, or no SMBIOS at all: not one of the clouds.
      return "";
    }
  };
  return {
    sysVendor: read("sys_vendor"),
    productName: read("product_name"),
    biosVendor: read("bios_vendor"),
    chassisTag: read("chassis_asset_tag"),
  };
}
