/**
 * The calls of the machine's own network: its names, its interfaces and their addresses, how it
 * gets them, and its firewall. They are `net.iface.…` and `net.firewall.…` in the table.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { SysError } from "../../errno.ts";
import { LinkName, LinkSettings, Network } from "./config.ts";
import { links } from "./link.ts";

const Address = z.object({
  address: z.string().describe("the address with the bits of its network, such as 192.0.2.2/24"),
  scope: z.enum(["global", "private", "link"]).describe("how far it reaches"),
});

const LinkState = z.object({
  name: z.string().describe("name of the interface, such as eth0"),
  mac: z.string().nullable().describe("hardware address, null when it has none"),
  state: z.string().describe("as Linux tells it: up, down, unknown"),
  mtu: z.int().nullable().describe("largest packet in bytes, null when unknown"),
  addresses: z.array(Address).describe("its addresses now, what reaches furthest first"),
});

const ls = call({
  summary: "List the machine's network interfaces and their addresses",
  manual: "Loopback is not listed. An interface without an address is.",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(LinkState),
  examples: [{ say: "Where can this machine be reached?", input: {} }],
  run: () =>
    links().map(({ addresses, ...link }) => ({
      ...link,
      addresses: addresses.map(({ address, prefix, scope }) => ({
        address: `${address}/${prefix}`,
        scope,
      })),
    })),
});

const Waiting = z.object({
  network: Network.describe("the configuration on trial"),
  untilMs: z.int().describe("when it is taken back unless it is confirmed, Unix milliseconds"),
});

const status = call({
  summary: "Show the names of this machine and how it gets its network",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.object({
    hostname: z.string().describe("name of this machine in its network"),
    mdnsName: z.string().nullable().describe("name that multicast DNS answers, null when off"),
    addresses: z
      .array(z.string())
      .describe("addresses without loopback, what reaches furthest first"),
    owned: z.boolean().describe("whether the network is set here: only on the appliance"),
    network: Network.describe("the configuration that is confirmed"),
    trial: Waiting.nullable().describe("a change that waits to be confirmed, null: none"),
  }),
  examples: [{ say: "What is it called?", input: {} }],
  run: ({ iface: own }) => {
    const { addresses, ...names } = own.names();
    return {
      ...names,
      addresses: addresses.map(({ address }) => address),
      owned: own.owned,
      network: own.network(),
      trial: own.trial(),
    };
  },
});

/** A field that may be left out and then says nothing. */
const bare = <T extends z.ZodType>(field: z.ZodDefault<T>) =>
  field
    .unwrap()
    .optional()
    .describe(field.description ?? "");

const machineFields = {
  hostname: bare(Network.shape.hostname),
  mdns: bare(Network.shape.mdns),
  search: bare(Network.shape.search),
  ntp: bare(Network.shape.ntp),
};

/** What is not given of an interface is automatic. */
const linkFields = {
  ipv4: bare(LinkSettings.shape.ipv4),
  ipv6: bare(LinkSettings.shape.ipv6),
  addresses: bare(LinkSettings.shape.addresses),
  gateways: bare(LinkSettings.shape.gateways),
  dns: bare(LinkSettings.shape.dns),
  mtu: bare(LinkSettings.shape.mtu),
};

const set = call({
  summary: "Change the network of this machine, on trial for 30 seconds",
  manual:
    "The change is applied at once, and taken back after 30 seconds unless fazt net iface confirm " +
    "says that you still reach the machine; a kernel that stops meanwhile takes it back as well. " +
    "What is said of an interface replaces all that was said of it: its name alone makes it " +
    "automatic again (DHCPv4, SLAAC, DHCPv6). * stands for every interface of which nothing is " +
    "said. Name, multicast DNS, search domains and time servers are the machine's own and stay " +
    "as they are unless given. Only on the appliance: elsewhere the host owns its network.",
  needs: "net:write",
  errors: ["ENOSYS", "ENOENT", "EINVAL", "EIO"],
  effect: "write",
  args: ["iface"],
  input: z.object({
    iface: LinkName.optional().describe('interface, such as eth0; "*": all others'),
    ...linkFields,
    ...machineFields,
  }),
  output: Waiting,
  examples: [
    {
      say: "A fixed address",
      input: {
        iface: "eth0",
        ipv4: "static",
        addresses: ["192.0.2.7/24"],
        gateways: ["192.0.2.1"],
        dns: ["192.0.2.1"],
      },
    },
    { say: "Back to automatic", input: { iface: "eth0" } },
    { say: "Another name", input: { hostname: "atlas" } },
  ],
  run: ({ iface: own }, _, { iface: name, ...given }) => {
    const { hostname, mdns, search, ntp, ...rest } = given;
    const machine = Object.fromEntries(
      Object.entries({ hostname, mdns, search, ntp }).filter(([, value]) => value !== undefined),
    );
    if (name === undefined) {
      const [stray] = Object.keys(rest);
      if (stray === undefined) return own.set({ machine });
      throw new SysError("EINVAL", `cannot set "${stray}": no interface is named`, {
        hint: "fazt net iface ls lists them",
      });
    }
    return own.set({ link: { name, ...readSettings(rest) }, machine });
  },
});

function readSettings(given: object): z.output<typeof LinkSettings> {
  const parsed = LinkSettings.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SysError("EINVAL", `bad argument "${issue?.path.join(".")}": ${issue?.message}`, {
    hint: "fazt man net iface set",
  });
}

const confirm = call({
  summary: "Keep the change of the network that is on trial",
  needs: "net:write",
  errors: ["ENOSYS", "ENOENT"],
  effect: "write",
  input: z.object({}),
  output: Network,
  examples: [{ say: "I still reach it", input: {} }],
  run: ({ iface: own }) => own.confirm(),
});

const Rule = z.object({
  protocol: z.enum(["tcp", "udp", "icmp", "icmpv6", "any"]).describe("protocol that may come in"),
  port: z.int().nullable().describe("port of this machine, null: no matter"),
  from: z.string().describe("from where"),
  purpose: z.string().describe("what for"),
});

const firewallLs = call({
  summary: "List what the machine's firewall lets in; nothing else comes in",
  manual: "Only on the appliance: elsewhere the firewall is the host's.",
  needs: "net:read",
  errors: ["ENOSYS"],
  effect: "read",
  input: z.object({}),
  output: z.array(Rule),
  examples: [{ say: "What is open?", input: {} }],
  run: ({ iface: own }) => own.firewall().map(({ match: _, ...rule }) => rule),
});

export const iface = { ls, status, set, confirm };
export const firewall = { ls: firewallLs };
