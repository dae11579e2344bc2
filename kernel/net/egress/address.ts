/**
 * Which addresses an app may reach: the public internet, and nothing that is near.
 *
 * Rules: pure; IPv4 inside IPv6 (mapped, NAT64, 6to4) counts as the IPv4 it stands for; in IPv6
 * only 2000::/3 is public, less what is carved out of it. `near` is what an owner may open for one
 * host (a printer, a database at home); `never` is what nobody may: metadata services, multicast.
 * Source: IANA's special-purpose address registries (RFC 6890).
 */
import { BlockList, isIPv4, isIPv6 } from "node:net";

/** How far away an address is. */
export type Reach = "public" | "near" | "never";

type Range = readonly [net: string, bits: number];

const near4: readonly Range[] = [
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
];

const never4: readonly Range[] = [
  ["0.0.0.0", 8],
  ["169.254.0.0", 16],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  // Metadata services that live among public or shared addresses.
  ["100.100.100.200", 32],
  ["168.63.129.16", 32],
];

const near6: readonly Range[] = [
  ["::1", 128],
  ["fc00::", 7],
];

const never6: readonly Range[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["3fff::", 20],
  ["fd00:ec2::254", 128],
  ["fd20:ce::254", 128],
];

function blockList(ranges: readonly Range[], family: "ipv4" | "ipv6"): BlockList {
  const list = new BlockList();
  for (const [net, bits] of ranges) list.addSubnet(net, bits, family);
  return list;
}

/** The eight groups of an IPv6 address (RFC 4291, 2.2), without its zone; null when it is none. */
export function groupsOf(address: string): number[] | null {
  if (!isIPv6(address)) return null;
  const bare = address.replace(/%.*$/, "");
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare);
  const hex =
    dotted === null
      ? bare
      : `${dotted[1]}${pair(dotted[2], dotted[3])}:${pair(dotted[4], dotted[5])}`;
  const [head = "", tail] = hex.split("::");
  const read = (text: string) => (text === "" ? [] : text.split(":").map((g) => Number(`0x${g}`)));
  const first = read(head);
  if (tail === undefined) return first;
  const last = read(tail);
  return [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
}

function pair(high: string | undefined, low: string | undefined): string {
  return (Number(high) * 256 + Number(low)).toString(16);
}

function dotted(high: number, low: number): string {
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** The IPv4 address an IPv6 address stands for; null when it stands for itself. */
export function embedded4(address: string): string | null {
  const g = groupsOf(address);
  if (g === null) return null;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, high = 0, low = 0] = g;
  const zero = (a | b | c | d) === 0;
  const mapped = zero && e === 0 && f === 0xffff;
  const translated = zero && e === 0xffff && f === 0;
  const compatible = zero && e === 0 && f === 0 && (high !== 0 || low > 1);
  const nat64 = a === 0x64 && b === 0xff9b && (c | d | e | f) === 0;
  if (mapped || translated || compatible || nat64) return dotted(high, low);
  // 6to4 carries it in front.
  return a === 0x2002 ? dotted(b, c) : null;
}

/** How far away a host of a URL is by itself: names are public until they are resolved. */
export function standing(host: string): Reach {
  const literal = host.startsWith("[") ? host.slice(1, -1) : host;
  return isIPv4(literal) || isIPv6(literal) ? createReach()(literal) : "public";
}

/** Classifies addresses; made once, because the lists cost a little to build. */
export function createReach(): (address: string) => Reach {
  const four = { near: blockList(near4, "ipv4"), never: blockList(never4, "ipv4") };
  const six = { near: blockList(near6, "ipv6"), never: blockList(never6, "ipv6") };
  const reach = (address: string): Reach => {
    if (isIPv4(address)) {
      if (four.never.check(address, "ipv4")) return "never";
      return four.near.check(address, "ipv4") ? "near" : "public";
    }
    const inner = embedded4(address);
    if (inner !== null) return reach(inner);
    const g = groupsOf(address);
    if (g === null || six.never.check(address.replace(/%.*$/, ""), "ipv6")) return "never";
    if (six.near.check(address.replace(/%.*$/, ""), "ipv6")) return "near";
    return ((g[0] ?? 0) & 0xe000) === 0x2000 ? "public" : "never";
  };
  return reach;
}
