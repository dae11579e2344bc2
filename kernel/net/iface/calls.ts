/**
 * The calls of the machine's own network: its names, its interfaces and their addresses.
 * They are `net.iface.…` in the table.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { links } from "./link.ts";
import { addresses } from "./mod.ts";

const Address = z.object({
  address: z.string().describe("the address, without prefix or zone"),
  prefix: z.int().describe("bits of its network"),
  family: z.union([z.literal(4), z.literal(6)]).describe("version of IP"),
  scope: z.enum(["global", "private", "link"]).describe("how far it reaches"),
});

const Link = z.object({
  name: z.string().describe("name of the interface, such as eth0"),
  mac: z.string().nullable().describe("hardware address, null when it has none"),
  state: z.string().describe("as Linux tells it: up, down, unknown"),
  mtuBytes: z.int().nullable().describe("largest packet in bytes, null when unknown"),
  addresses: z.array(Address).describe("its addresses now, what reaches furthest first"),
});

const ls = call({
  summary: "List the machine's network interfaces and their addresses",
  manual: "Loopback is not listed. An interface without an address is.",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Link),
  examples: [{ say: "Where can this machine be reached?", input: {} }],
  run: () =>
    links().map(({ addresses, ...link }) => ({
      ...link,
      addresses: addresses.map(({ iface: _, mac: __, ...rest }) => rest),
    })),
});

const status = call({
  summary: "Show the names of this machine and where it can be reached",
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
  }),
  examples: [{ say: "What is it called?", input: {} }],
  run: () => {
    const { addresses: list, ...names } = addresses();
    return { ...names, addresses: list.map(({ address }) => address) };
  },
});

export const iface = { ls, status };
