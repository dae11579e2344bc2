/**
 * The network links the system has, with their addresses: what `net iface ls` shows. Read from
 * sysfs (Documentation/ABI/testing/sysfs-class-net of Linux); loopback is not among them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { addresses, type MachineAddress } from "./address.ts";

export interface LinkInfo {
  readonly name: string;
  readonly mac: string | null;
  /** As the kernel says it (RFC 2863): `up`, `down`, `unknown`… */
  readonly state: string;
  /** Bytes of the largest packet. */
  readonly mtu: number | null;
  readonly addresses: readonly MachineAddress[];
}

const root = "/sys/class/net";
const loopbackType = "772";

/** One line of sysfs; null when the link has gone meanwhile or does not tell. */
function read(name: string, file: string): string | null {
  try {
    return readFileSync(join(root, name, file), "utf8").trim();
  } catch {
    return null;
  }
}

function names(): string[] {
  try {
    return readdirSync(root).sort();
  } catch {
    // No sysfs, as on other systems: what has an address is told below.
    return [...new Set(addresses().addresses.map(({ iface }) => iface))];
  }
}

/** Every link but loopback, by name. */
export function links(): LinkInfo[] {
  const known = addresses().addresses;
  return names()
    .filter((name) => ![loopbackType, null].includes(read(name, "type")))
    .map((name) => {
      const mac = read(name, "address");
      const mtu = Number(read(name, "mtu"));
      return {
        name,
        mac: mac === "" || mac === "00:00:00:00:00:00" ? null : mac,
        state: read(name, "operstate") ?? "unknown",
        mtu: mtu > 0 ? mtu : null,
        addresses: known.filter(({ iface }) => iface === name),
      };
    });
}

/** The names of the links, loopback aside. */
export function linkNames(): string[] {
  return links().map(({ name }) => name);
}
