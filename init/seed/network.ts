/**
 * What clouds and installers say of a network, in one shape, and how it becomes our configuration.
 * Pure. Strangers write it, so what makes no sense is passed over with a word about it; the
 * automatic network stays for whatever is not said.
 */
import { isIP } from "node:net";
import { Network } from "../../kernel/net/iface/mod.ts";

/** What is said of one interface. */
export interface LinkWords {
  readonly mac?: string | undefined;
  readonly name?: string | undefined;
  /** Whether version 4 comes by DHCP; absent: not said. */
  readonly dhcp4?: boolean | undefined;
  /** Whether version 6 comes by SLAAC or DHCPv6; absent: not said. */
  readonly auto6?: boolean | undefined;
  /** With their prefix. */
  readonly addresses: readonly string[];
  readonly gateways: readonly string[];
  readonly dns: readonly string[];
  readonly mtu?: number | undefined;
}

export interface NetworkWords {
  readonly links: readonly LinkWords[];
  readonly search?: readonly string[];
}

/** The version of an address, with or without prefix; 0 when it is none. */
const versionOf = (address: string): number => isIP(address.split("/")[0] ?? "");

const firstOf = (list: readonly string[], version: number) =>
  list.find((one) => versionOf(one) === version);

/** Bits of a netmask (`255.255.255.0`, `ffff:ffff::`) or a prefix length. */
function prefixOf(mask: string | number): number {
  const text = String(mask);
  if (/^\d+$/.test(text)) return Number(text);
  const parts = text.includes(":")
    ? text.split(":").map((part) => Number.parseInt(part || "0", 16))
    : text.split(".").map(Number);
  const ones = (value: number) => value.toString(2).replaceAll("0", "").length;
  return parts.reduce((sum, part) => sum + ones(part), 0);
}

/** `address/prefix`, unless the address has its prefix already. */
export function withPrefix(address: string, mask: string | number | undefined): string {
  if (address.includes("/")) return address;
  const whole = versionOf(address) === 4 ? 32 : 128;
  return `${address}/${mask === undefined ? whole : prefixOf(mask)}`;
}

function linkFields(words: LinkWords) {
  const { addresses, auto6, dhcp4, mtu } = words;
  const has4 = firstOf(addresses, 4) !== undefined;
  const has6 = firstOf(addresses, 6) !== undefined;
  const gateways = [4, 6].flatMap((version) => {
    const gateway = firstOf(words.gateways, version);
    return gateway !== undefined && firstOf(addresses, version) !== undefined ? [gateway] : [];
  });
  const static6 = has6 && auto6 !== true && firstOf(gateways, 6) !== undefined;
  const no4 = has4 ? "static" : "off";
  return {
    name: words.mac === undefined ? (words.name ?? "*") : null,
    mac: words.mac ?? null,
    ipv4: (dhcp4 ?? !has4) ? "dhcp" : no4,
    ipv6: static6 ? "static" : "auto",
    addresses: [...new Set(addresses)],
    gateways,
    dns: [...new Set(words.dns)].slice(0, 8),
    mtu: mtu ?? null,
  };
}

/** Whether nothing is said that the automatic network would not do by itself. */
function saysNothing({ addresses, dns, dhcp4, auto6, mtu }: LinkWords): boolean {
  return (
    addresses.length === 0 &&
    dns.length === 0 &&
    dhcp4 !== false &&
    auto6 !== false &&
    mtu === undefined
  );
}

/**
 * The configuration of what is said. `known` are the names of the interfaces there are: a name that
 * is none of them, where there is one interface only, means that one.
 */
export function networkOf(
  words: NetworkWords,
  known: readonly string[],
): { readonly network: Network | null; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const links = words.links
    .filter((link) => !saysNothing(link))
    .flatMap((link) => {
      const { name } = link;
      const lost = link.mac === undefined && name !== undefined && !known.includes(name);
      const fields = linkFields(lost && known.length === 1 ? { ...link, name: known[0] } : link);
      const parsed = Network.safeParse({ links: [fields] });
      if (parsed.success) return parsed.data.links;
      const [issue] = parsed.error.issues;
      problems.push(
        `${link.mac ?? name ?? "interface"}: ${issue?.path.slice(2).join(".")} ${issue?.message}`,
      );
      return [];
    });
  const network = Network.safeParse({ links, search: words.search ?? [] });
  if (!network.success) problems.push(network.error.issues[0]?.message ?? "not valid");
  const says = links.length > 0 || (words.search ?? []).length > 0;
  return { network: network.success && says ? network.data : null, problems };
}
