/**
 * The machine's addresses and names, as people need them: on the console, in the URL they type.
 * Read from the running system each time; works on any Linux machine, the appliance or not.
 */
import { hostname, type NetworkInterfaceInfo, networkInterfaces } from "node:os";

/** How far an address reaches: the internet, the networks of RFC 1918 and RFC 4193, this link. */
export type Scope = "global" | "private" | "link";

export interface MachineAddress {
  /** Name of the interface, such as `eth0`. */
  readonly iface: string;
  /** Without prefix or zone, such as `192.0.2.7` or `2001:db8::7`. */
  readonly address: string;
  /** Bits of the network. */
  readonly prefix: number;
  readonly family: 4 | 6;
  readonly scope: Scope;
  readonly mac: string | null;
}

export interface MachineNames {
  readonly hostname: string;
  /** The name that multicast DNS answers (RFC 6762), null where it is off. */
  readonly mdnsName: string | null;
  /** Without loopback; what reaches furthest first, version 4 before 6. Empty without network. */
  readonly addresses: readonly MachineAddress[];
}

const order: readonly Scope[] = ["global", "private", "link"];

/** How far an address reaches. */
export function scopeOf(address: string): Scope {
  const [a = 0, b = 0] = address.split(".").map(Number);
  if (address.includes(":")) {
    if (/^fe[89ab]/i.test(address)) return "link";
    return /^f[cd]/i.test(address) ? "private" : "global";
  }
  if (a === 169 && b === 254) return "link";
  const shared = a === 100 && b >= 64 && b < 128;
  const own = a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168);
  return own || shared ? "private" : "global";
}

/** The addresses among what the system lists. Pure. */
export function addressesOf(
  listed: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
): MachineAddress[] {
  const found = Object.entries(listed).flatMap(([iface, infos]) =>
    (infos ?? [])
      .filter(({ internal }) => !internal)
      .map(
        ({ address, cidr, family, mac }): MachineAddress => ({
          iface,
          address: address.replace(/%.*$/, ""),
          prefix: Number(cidr?.split("/")[1] ?? 0),
          family: family === "IPv4" ? 4 : 6,
          scope: scopeOf(address),
          mac: mac === "00:00:00:00:00:00" ? null : mac,
        }),
      ),
  );
  const rank = ({ scope, family }: MachineAddress) => order.indexOf(scope) * 10 + family;
  return found.sort((a, b) => rank(a) - rank(b));
}

/** What this machine is called and where it can be reached; `mdns` says whether it answers so. */
export function addresses(mdns = false): MachineNames {
  const name = hostname();
  const label = name.split(".", 1)[0] ?? name;
  return {
    hostname: name,
    mdnsName: mdns ? `${label}.local` : null,
    addresses: addressesOf(networkInterfaces()),
  };
}
