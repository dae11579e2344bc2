/** Which configurations are taken, what is said of the others, and what a change makes of one. */
import { expect, test } from "bun:test";
import { automatic, changed, LinkSettings, Network, storedNetwork } from "./config.ts";

const refusal = (network: unknown): string => {
  const parsed = Network.safeParse(network);
  const [issue] = parsed.error?.issues ?? [];
  return issue === undefined ? "taken" : `${issue.path.join(".")}: ${issue.message}`;
};
const link = (fields: object) => ({ links: [{ name: "eth0", ...fields }] });

test.each([
  [{}, "taken"],
  [link({}), "taken"],
  [link({ ipv4: "static", addresses: ["192.0.2.7/24"], gateways: ["192.0.2.1"] }), "taken"],
  [link({ addresses: ["2001:db8::7/64"], gateways: ["fe80::1"] }), "taken"],
  [link({ name: null, mac: "02:FC:00:00:00:01" }), "taken"],
  [link({ mac: "02:fc:00:00:00:01" }), 'links.0: must have "name" or "mac", and not both'],
  [link({ ipv4: "static" }), "links.0.addresses: must hold one of version 4"],
  [
    link({ ipv6: "off", addresses: ["2001:db8::7/64"] }),
    "links.0.addresses: must hold none of version 6: it is off",
  ],
  [link({ gateways: ["192.0.2.1"] }), "links.0.gateways: must come with an address of version 4"],
  [
    link({ addresses: ["192.0.2.7/24"], gateways: ["192.0.2.1", "192.0.2.2"] }),
    "links.0.gateways: must hold one of version 4 at most",
  ],
  [
    link({ addresses: ["192.0.2.7"] }),
    'links.0.addresses.0: must be an address with its network, such as "192.0.2.7/24"',
  ],
  [
    link({ addresses: ["192.0.2.7/33"] }),
    'links.0.addresses.0: must be an address with its network, such as "192.0.2.7/24"',
  ],
  [
    link({ dns: ["dns.example"] }),
    'links.0.dns.0: must be an IP address such as "192.0.2.1" or "2001:db8::1"',
  ],
  [link({ mtu: 1000 }), "links.0.mtu: must be 1280 to 9216"],
  [link({ name: "eth0\n[Route]" }), 'links.0.name: must be a name such as "eth0", or "*"'],
  [{ hostname: "a b" }, 'hostname: must be a name such as "example.org"'],
  [{ hostname: "a\nb" }, 'hostname: must be a name such as "example.org"'],
  [{ search: ["x.org\nDNS=1.1.1.1"] }, 'search.0: must be a name such as "example.org"'],
  [{ links: [{ name: "eth0" }, { name: "eth0" }] }, "links.1: is there twice"],
])("%j: %s", (network, said) => {
  expect(refusal(network)).toBe(said);
});

test("a change replaces the interface it names and leaves the others and the machine's fields", () => {
  const before = Network.parse({ hostname: "atlas", links: [{ name: "eth0" }, { name: "eth1" }] });
  const settings = LinkSettings.parse({ dns: ["192.0.2.1"] });
  const after = changed(before, { link: { name: "eth0", ...settings }, machine: { mdns: false } });
  expect(after.links.map(({ name, dns }) => [name, dns])).toEqual([
    ["eth1", []],
    ["eth0", ["192.0.2.1"]],
  ]);
  expect([after.hostname, after.mdns]).toEqual(["atlas", false]);
});

test("a change also replaces what a cloud said of the same interface by its hardware address", () => {
  const mac = "96:00:00:00:00:01";
  const before = Network.parse({
    links: [{ mac, dns: ["192.0.2.53"] }, { mac: "96:00:00:00:00:02" }],
  });
  const link = { name: "eth0", ...LinkSettings.parse({}) };
  const after = changed(before, { link, machine: {} }, mac);
  expect(after.links.map(({ name, mac: address }) => name ?? address)).toEqual([
    "96:00:00:00:00:02",
    "eth0",
  ]);
});

test("what a newer kernel stored is read without what this one does not know", () => {
  expect(storedNetwork('{"hostname":"atlas","bonds":[]}')).toEqual({
    ...automatic,
    hostname: "atlas",
  });
});
