/** Which addresses are told, and in what order. */
import { expect, test } from "bun:test";
import { addresses, addressesOf, scopeOf } from "./address.ts";

const info = (cidr: string, internal = false) => ({
  address: cidr.split("/")[0] ?? "",
  cidr,
  netmask: "",
  family: cidr.includes(":") ? "IPv6" : "IPv4",
  mac: "02:fc:00:00:00:01",
  internal,
  scopeid: 0,
});

test.each([
  ["198.51.100.1", "global"],
  ["10.0.0.1", "private"],
  ["172.31.1.1", "private"],
  ["172.32.1.1", "global"],
  ["100.64.0.1", "private"],
  ["169.254.3.4", "link"],
  ["fe80::1", "link"],
  ["fd00::2", "private"],
  ["2001:db8::1", "global"],
] as const)("%s reaches: %s", (address, scope) => {
  expect(scopeOf(address)).toBe(scope);
});

test("loopback is not told, and what reaches furthest comes first", () => {
  const listed = {
    lo: [info("127.0.0.1/8", true), info("::1/128", true)],
    eth0: [info("fe80::5/64"), info("192.168.1.5/24"), info("2001:db8::5/64")],
    eth1: [info("198.51.100.5/32")],
  } as unknown as Parameters<typeof addressesOf>[0];
  const told = addressesOf(listed).map(({ iface, address, prefix }) => [iface, address, prefix]);
  expect(told).toEqual([
    ["eth1", "198.51.100.5", 32],
    ["eth0", "2001:db8::5", 64],
    ["eth0", "192.168.1.5", 24],
    ["eth0", "fe80::5", 64],
  ]);
});

test("this machine has a name, which multicast DNS may answer to", () => {
  expect(addresses().hostname).not.toBe("");
  expect(addresses().mdnsName).toBeNull();
  expect(addresses(true).mdnsName).toMatch(/^[^.]+\.local$/);
});
