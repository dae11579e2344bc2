/**
 * The machine's firewall as nftables has it (nft(8)): what may come in, everything else may not.
 * Pure: rules are data, the text for `nft -f` and the list for people are made of the same rows.
 *
 * Rules: only our own table is touched, and replaced in one transaction; nothing is forwarded;
 * what the machine itself asks for may be answered.
 */

export interface FirewallRule {
  /** What comes in. */
  readonly protocol: "tcp" | "udp" | "icmp" | "icmpv6" | "any";
  readonly port: number | null;
  /** From where, in words people know. */
  readonly from: string;
  readonly purpose: string;
  /** The match as nft writes it. */
  readonly match: string;
}

/** Types of ICMPv6 without which version 6 does not work (RFC 4890, 4.4.1), and echo. */
const icmpv6 = [
  "destination-unreachable",
  "packet-too-big",
  "time-exceeded",
  "parameter-problem",
  "echo-request",
  "echo-reply",
];
/** Neighbour discovery and group membership: this link's business, never routed. */
const neighbours = [
  "nd-router-advert",
  "nd-router-solicit",
  "nd-neighbor-solicit",
  "nd-neighbor-advert",
  "mld-listener-query",
  "mld-listener-report",
  "mld-listener-done",
  "mld2-listener-report",
];

const set = (words: readonly string[]) => `{ ${words.join(", ")} }`;
const anywhere = "anywhere";
const here = "this link";

/** Everything that may come in, in the order it is looked at. */
export function firewallRules({ mdns }: { readonly mdns: boolean }): FirewallRule[] {
  const rules: FirewallRule[] = [
    {
      protocol: "any",
      port: null,
      from: anywhere,
      purpose: "answers to what this machine asked",
      match: "ct state { established, related }",
    },
    { protocol: "any", port: null, from: "itself", purpose: "loopback", match: 'iifname "lo"' },
    ...[80, 443].map((port) => ({
      protocol: "tcp" as const,
      port,
      from: anywhere,
      purpose: port === 80 ? "HTTP" : "HTTPS",
      match: `tcp dport ${port}`,
    })),
    {
      protocol: "icmp",
      port: null,
      from: anywhere,
      purpose: "ping and errors",
      match: `icmp type ${set(["echo-request", "destination-unreachable", "time-exceeded", "parameter-problem"])}`,
    },
    {
      protocol: "icmpv6",
      port: null,
      from: anywhere,
      purpose: "ping and errors",
      match: `icmpv6 type ${set(icmpv6)}`,
    },
    {
      protocol: "icmpv6",
      port: null,
      from: here,
      purpose: "neighbour discovery",
      match: `icmpv6 type ${set(neighbours)}`,
    },
    {
      protocol: "udp",
      port: 68,
      from: "DHCP servers",
      purpose: "DHCPv4 answers",
      match: "udp sport 67 udp dport 68",
    },
    {
      protocol: "udp",
      port: 546,
      from: here,
      purpose: "DHCPv6 answers",
      match: "ip6 saddr fe80::/10 udp sport 547 udp dport 546",
    },
  ];
  if (!mdns) return rules;
  const groups = [
    ["ip daddr 224.0.0.251", "multicast DNS"],
    ["ip6 daddr ff02::fb", "multicast DNS, version 6"],
  ] as const;
  return [
    ...rules,
    ...groups.map(([group, purpose]) => ({
      protocol: "udp" as const,
      port: 5353,
      from: here,
      purpose,
      match: `${group} udp dport 5353`,
    })),
    {
      protocol: "any",
      port: null,
      from: here,
      purpose: "group membership (IGMP)",
      match: "ip protocol igmp",
    },
  ];
}

/** The text `nft -f` takes. The first line makes the table, so that removing it never fails. */
export function renderFirewall(rules: readonly FirewallRule[]): string {
  const accepted = rules.map(({ match, purpose }) => `    ${match} accept comment "${purpose}"`);
  return `table inet fazt
delete table inet fazt
table inet fazt {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state invalid drop
${accepted.join("\n")}
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
}
`;
}

/** The text of what holds from a machine's start until its kernel has said more (`image/`). */
export const firstFirewall = (): string => renderFirewall(firewallRules({ mdns: false }));
