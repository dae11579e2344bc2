/**
 * The network of an appliance in real namespaces: what we render, systemd-networkd understands and
 * nftables keeps; a change that cuts the machine off comes back by itself.
 */
import { describe, expect, test } from "bun:test";
import { clock } from "../clock.ts";
import { type TestKernel, testKernel } from "../kernel.ts";
import { type Cable, plugIn, whyNoNamespaces } from "../namespace.ts";
import { until } from "../process.ts";

const why = whyNoNamespaces === null ? "" : ` (skipped: ${whyNoNamespaces})`;

const automatic = (addresses: string, routes: string) =>
  /inet 192\.0\.2\.\d+\/24/.test(addresses) &&
  /inet6 2001:db8:1:/.test(addresses) &&
  /default via 192\.0\.2\.1/.test(routes) &&
  /default .*via fe80::/.test(routes);

const set = (k: TestKernel, input: object) => k.call("net.iface.set", { iface: "*", ...input });

/** A server at the machine on each port, and the line it says when it listens. */
async function listen(cable: Cable, ports: readonly number[]): Promise<void> {
  const program = `for (const port of ${JSON.stringify(ports)}) Bun.serve({ port, hostname: "::", fetch: () => new Response("here") });`;
  cable.serve([process.execPath, "-e", program]);
  const open = () => cable.at("machine", ["ss", "-tln"]).out;
  await until("the servers listen", () => ports.every((port) => open().includes(`:${port} `)));
}

describe.skipIf(whyNoNamespaces !== null)(`on a cable${why}`, () => {
  test("automatic: DHCPv4 and SLAAC give addresses and the way out", async () => {
    await using cable = await plugIn();
    await using k = await testKernel({ network: cable.host });
    await k.kernel.iface.settled();
    await cable.until(automatic);
  });

  test("a cloud's /32 with gateways outside every network, and back when nobody confirms", async () => {
    await using cable = await plugIn();
    const time = clock();
    await using k = await testKernel({ network: cable.host, machine: time.machine });
    await set(k, {
      ipv4: "static",
      ipv6: "static",
      addresses: ["203.0.113.7/32", "2001:db8:beef::7/64"],
      gateways: ["172.31.1.1", "fe80::1"],
      mtu: 1400,
    });
    await cable.until(
      (addresses, routes) =>
        addresses.includes("203.0.113.7/32") &&
        addresses.includes("2001:db8:beef::7/64") &&
        /default via 172\.31\.1\.1 .*onlink/.test(routes) &&
        /default via fe80::1 .*onlink/.test(routes),
    );
    expect(cable.at("machine", ["ip", "link", "show", "m0"]).out).toContain("mtu 1400");
    time.pass(30_001);
    await k.kernel.iface.settled();
    await cable.until(
      (addresses, routes) => automatic(addresses, routes) && !addresses.includes("203.0.113.7"),
    );
  });

  test("the firewall lets in 80, 443 and ping, of both versions, and nothing else", async () => {
    await using cable = await plugIn();
    await using k = await testKernel({ network: cable.host });
    await set(k, {
      ipv4: "static",
      ipv6: "static",
      addresses: ["192.0.2.7/24", "2001:db8:1::7/64"],
      gateways: ["192.0.2.1", "2001:db8:1::1"],
    });
    const settled = (addresses: string) =>
      addresses.includes("2001:db8:1::7") && !/tentative/.test(addresses);
    await cable.until(settled);
    await listen(cable, [80, 443, 8080]);
    const asked = (url: string) =>
      cable.at("router", ["curl", "-s", "-g", "--max-time", "2", url]).out;
    for (const host of ["192.0.2.7", "[2001:db8:1::7]"]) {
      expect(asked(`http://${host}/`)).toBe("here");
      expect(asked(`http://${host}:443/`)).toBe("here");
      expect(asked(`http://${host}:8080/`)).toBe("");
    }
    expect(cable.at("router", ["ping", "-c1", "-W2", "192.0.2.7"]).code).toBe(0);
    expect(cable.at("router", ["ping", "-c1", "-W2", "2001:db8:1::7"]).code).toBe(0);
    // The machine itself may go out, and hear the answer.
    expect(cable.at("machine", ["ping", "-c1", "-W2", "192.0.2.1"]).code).toBe(0);
    const kept = cable.at("machine", ["nft", "list", "ruleset"]).out;
    expect(kept).toContain("policy drop");
    expect(kept).toContain('comment "HTTPS"');
  });
});
