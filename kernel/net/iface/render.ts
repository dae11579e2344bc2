/**
 * The network configuration as the files of systemd-networkd, -resolved and -timesyncd. Pure: the
 * same configuration is the same text. Directives: systemd.network(5), resolved.conf(5),
 * timesyncd.conf(5); files under /run go before those of the image.
 */
import type { Link, Network } from "./config.ts";

/** A file below the root of the file system. */
export interface RenderedFile {
  readonly path: string;
  readonly text: string;
}

export const networkDir = "run/systemd/network";
export const resolvedDir = "run/systemd/resolved.conf.d";
export const timeDir = "run/systemd/timesyncd.conf.d";

const note = "# Written by fazt from its database; a change here is lost: fazt net iface set";

/** Servers of the NTP pool, for networks whose DHCP names none. */
const pool = "0.pool.ntp.org 1.pool.ntp.org 2.pool.ntp.org 3.pool.ntp.org";

type Setting = readonly [key: string, value: string | number | boolean | null];

function section(name: string, settings: readonly Setting[]): string {
  const shown = (value: Setting[1]) =>
    typeof value === "boolean" ? (value ? "yes" : "no") : value;
  const lines = settings.flatMap(([key, value]) =>
    value === null ? [] : `${key}=${shown(value)}`,
  );
  return lines.length === 0 ? "" : `\n[${name}]\n${lines.join("\n")}\n`;
}

function linkFile(link: Link, { mdns, search, ntp }: Network): string {
  const { name, mac, ipv4, ipv6, dns } = link;
  const any = name === "*";
  const announced: readonly Setting[] = [["UseDNS", dns.length === 0]];
  return [
    `${note}\n`,
    section("Match", [
      ["Type", any ? "ether" : null],
      ["Name", any ? null : name],
      ["MACAddress", mac],
    ]),
    // Boot never waits for a network: the console works without one.
    section("Link", [
      ["MTUBytes", link.mtu],
      ["RequiredForOnline", false],
    ]),
    section("Network", [
      ["DHCP", ipv4 === "dhcp" ? "ipv4" : false],
      ["IPv6AcceptRA", ipv6 === "auto"],
      ["LinkLocalAddressing", ipv6 === "off" ? false : "ipv6"],
      // When the machine stops, networkd goes before the answers to requests under way do.
      ["KeepConfiguration", "dynamic-on-stop"],
      ["MulticastDNS", mdns],
      ["LLMNR", false],
      ...dns.map((server): Setting => ["DNS", server]),
      ["Domains", search.length === 0 ? null : search.join(" ")],
      ["NTP", ntp.length === 0 ? null : ntp.join(" ")],
    ]),
    ...link.addresses.map((address) => section("Address", [["Address", address]])),
    ...link.gateways.map((gateway) =>
      section("Route", [
        ["Gateway", gateway],
        // Some clouds' gateway is in no network of the machine: a /32, or fe80::1.
        ["GatewayOnLink", true],
      ]),
    ),
    // The lease follows the card, not a machine id that a clone would share.
    ipv4 === "dhcp" ? section("DHCPv4", [["ClientIdentifier", "mac"], ...announced]) : "",
    ipv6 === "auto" ? section("IPv6AcceptRA", announced) + section("DHCPv6", announced) : "",
  ].join("");
}

const everyOther: Link = {
  name: "*",
  mac: null,
  ipv4: "dhcp",
  ipv6: "auto",
  addresses: [],
  gateways: [],
  dns: [],
  mtu: null,
};

/** The files that say all of it. Hardware addresses go before names, names before `*`. */
export function renderNetwork(network: Network): RenderedFile[] {
  const rank = ({ name, mac }: Link) => (mac !== null ? 0 : name === "*" ? 2 : 1);
  const links = network.links.some(({ name }) => name === "*")
    ? network.links
    : [...network.links, everyOther];
  const sorted = links.toSorted((a, b) => rank(a) - rank(b));
  const fileName = ({ name, mac }: Link) =>
    name === "*" ? "78-fazt" : `7${mac === null ? 2 : 1}-fazt-${name ?? mac?.replaceAll(":", "")}`;
  const files = sorted.map((link) => ({
    path: `${networkDir}/${fileName(link)}.network`,
    text: linkFile(link, network),
  }));
  const { mdns, search, ntp } = network;
  const resolve = section("Resolve", [
    ["MulticastDNS", mdns],
    ["LLMNR", false],
    ["Domains", search.length === 0 ? null : search.join(" ")],
  ]);
  const time = section("Time", [
    ["NTP", ntp.length === 0 ? null : ntp.join(" ")],
    ["FallbackNTP", ntp.length === 0 ? pool : null],
  ]);
  return [
    ...files,
    { path: `${resolvedDir}/fazt.conf`, text: `${note}\n${resolve}` },
    { path: `${timeDir}/fazt.conf`, text: `${note}\n${time}` },
  ];
}
