/**
 * Addresses and networks of clients. Pure.
 *
 * Rules: IPv4 that came in over IPv6 is IPv4; one client of IPv6 is its /64, because it picks its
 * addresses from it (RFC 4291, 2.5.1; RFC 8981); a network is written with its host bits zero.
 */
import { isIPv4 } from "node:net";
import { SysError } from "../../errno.ts";
import { groupsOf } from "../egress/mod.ts";

export interface Network {
  /** As it is written: `192.0.2.0/24`, `2001:db8::/32`. */
  readonly text: string;
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/** The 4 or 16 bytes of an address, null when it is none. */
export function bytesOf(address: string): Uint8Array | null {
  if (isIPv4(address)) return Uint8Array.from(address.split("."), Number);
  const groups = groupsOf(address);
  if (groups === null) return null;
  const bytes = Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && groups[5] === 0xffff;
  return mapped ? bytes.slice(12) : bytes;
}

/** An address as people write it (RFC 5952, without its shortest form of a single zero). */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  const runs = [...groups.join(":").matchAll(/(?:^|(?<=:))0(?::0)+(?=:|$)/g)];
  const longest = runs.toSorted((a, b) => b[0].length - a[0].length)[0];
  if (longest === undefined) return groups.join(":");
  const text = groups.join(":");
  const left = text.slice(0, longest.index).replace(/:$/, "");
  const right = text.slice(longest.index + longest[0].length).replace(/^:/, "");
  return `${left}::${right}`;
}

/** An address or a network in CIDR notation (RFC 4632). EINVAL. */
export function readNetwork(text: string): Network {
  const [address = "", length, ...rest] = text.trim().split("/");
  const bytes = bytesOf(address);
  const width = (bytes?.length ?? 0) * 8;
  const bits = length === undefined ? width : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (bytes === null || rest.length > 0 || bits < 0 || bits > width) {
    throw new SysError("EINVAL", `cannot read "${text.slice(0, 100)}": not a network`, {
      hint: "write an address or a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48",
    });
  }
  const masked = mask(bytes, bits);
  return { text: `${addressText(masked)}/${bits}`, bytes: masked, bits };
}

function mask(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, i) => byte & (0xff << (8 - Math.min(8, Math.max(0, bits - 8 * i)))));
}

/** Whether an address, as its bytes, is in a network. */
export function contains({ bytes, bits }: Network, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false;
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== address[i]) return false;
  const rest = bits & 7;
  if (rest === 0) return true;
  return (((bytes[whole] ?? 0) ^ (address[whole] ?? 0)) & (0xff << (8 - rest)) & 0xff) === 0;
}

/** Who one client is: an IPv4 address, or the /64 of an IPv6 address; what is neither stays. */
export function clientOf(address: string): string {
  if (!address.includes(":")) return address;
  const bytes = bytesOf(address);
  if (bytes === null) return address;
  return bytes.length === 4 ? addressText(bytes) : `${addressText(mask(bytes, 64))}/64`;
}
