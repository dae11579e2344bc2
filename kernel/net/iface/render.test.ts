/** The files of systemd, word for word; written anew when the text is meant to differ. */
import { expect, test } from "bun:test";
import { Network } from "./config.ts";
import { renderNetwork } from "./render.ts";

const shown = (network: unknown) =>
  renderNetwork(Network.parse(network))
    .map(({ path, text }) => `--- ${path}\n${text}`)
    .join("");

test("automatic", () => {
  expect(shown({})).toMatchSnapshot();
});

test("a cloud's /32 with its gateway outside, and version 6 with a link-local one", () => {
  const addresses = ["198.51.100.7/32", "2001:db8:1::1/64"];
  const gateways = ["172.31.1.1", "fe80::1"];
  const dns = ["192.0.2.53", "2001:db8::53"];
  const mac = "96:00:00:00:00:01";
  const cloud = { mac, ipv4: "static", ipv6: "static", addresses, gateways, dns };
  expect(shown({ hostname: "atlas", links: [cloud] })).toMatchSnapshot();
});

test("everything said", () => {
  const links = [
    { name: "*", ipv6: "off", mtu: 1400, dns: ["192.0.2.53"] },
    { name: "eth1", ipv4: "off", addresses: ["2001:db8::7/64"] },
  ];
  const machine = { mdns: false, search: ["example.org"], ntp: ["time.example.org", "192.0.2.1"] };
  expect(shown({ ...machine, links })).toMatchSnapshot();
});
