/**
 * The machine's network through the calls of a whole kernel: applied at boot, changed on trial,
 * confirmed or taken back; and on a machine that is not the appliance, left alone.
 */
import { describe, expect, test } from "bun:test";
import { addresses } from "../../kernel/net/iface/mod.ts";
import { clock } from "../clock.ts";
import { testKernel } from "../kernel.ts";
import { testNetwork } from "../network.ts";

const dir = "run/systemd/network";
const fallback = `${dir}/78-fazt.network`;
const link = Object.keys((await import("node:os")).networkInterfaces()).find((n) => n !== "lo");
const eth = link ?? "none";

interface Status {
  readonly hostname: string;
  readonly owned: boolean;
  readonly network: { readonly hostname: string | null; readonly links: { name: string }[] };
  readonly trial: { readonly untilMs: number } | null;
}

interface Link {
  readonly name: string;
  readonly addresses: readonly { readonly address: string }[];
}

test("boot applies the automatic network: firewall first, then the services that changed", async () => {
  using network = testNetwork();
  await using k = await testKernel({ network: network.host });
  await k.kernel.iface.settled();
  expect(network.commands).toEqual([
    "nft -f -",
    "systemctl try-reload-or-restart systemd-networkd.service",
    "systemctl try-reload-or-restart systemd-resolved.service",
    "systemctl try-reload-or-restart systemd-timesyncd.service",
  ]);
  expect(network.read(fallback)).toContain("DHCP=ipv4");
  expect(network.ruleset()).toContain("policy drop");
  expect(network.hostname()).toBeNull();
});

test("a network that cannot be applied does not keep the kernel from its start, and is logged", async () => {
  using network = testNetwork();
  network.refuse("nft");
  await using k = await testKernel({ network: network.host });
  await k.kernel.iface.settled();
  // The rest was done all the same.
  expect(network.read(fallback)).toContain("DHCP=ipv4");
  const lines = await Array.fromAsync(
    await k.call<AsyncIterable<{ text: string }>>("proc.logs", { app: "kernel" }),
  );
  expect(lines.map(({ text }) => text).join("\n")).toContain("cannot start the network");
});

describe("a change", () => {
  const change = {
    iface: eth,
    ipv4: "static",
    addresses: ["203.0.113.7/32"],
    gateways: ["172.31.1.1"],
    hostname: "atlas",
  };

  test("is applied at once and kept once it is confirmed, over a restart too", async () => {
    using network = testNetwork();
    await using k = await testKernel({ network: network.host });
    await k.call("net.iface.set", change);
    expect(network.read(`${dir}/72-fazt-${eth}.network`)).toContain("Address=203.0.113.7/32");
    expect(network.hostname()).toBe("atlas");
    expect((await k.call<Status>("net.iface.status")).network.links).toEqual([]);
    await k.call("net.iface.confirm");
    const again = await k.reboot();
    const { network: kept, trial } = await again.call<Status>("net.iface.status");
    await again.kernel.iface.settled();
    expect(kept.links.map(({ name }) => name)).toEqual([eth]);
    expect(trial).toBeNull();
    expect(network.ls(dir)).toContain(`72-fazt-${eth}.network`);
    await again.close();
  });

  test("that nobody confirms is taken back after 30 seconds", async () => {
    using network = testNetwork();
    const time = clock();
    await using k = await testKernel({ network: network.host, machine: time.machine });
    await k.call("net.iface.set", change);
    time.pass(29_000);
    await k.kernel.iface.settled();
    expect(network.ls(dir)).toContain(`72-fazt-${eth}.network`);
    time.pass(1001);
    await k.kernel.iface.settled();
    expect(network.ls(dir)).toEqual(["78-fazt.network"]);
    expect((await k.call<Status>("net.iface.status")).trial).toBeNull();
    await expect(k.call("net.iface.confirm")).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("is taken back when the kernel ends during its trial", async () => {
    using network = testNetwork();
    await using k = await testKernel({ network: network.host });
    await k.call("net.iface.set", change);
    expect(network.ls(dir)).toContain(`72-fazt-${eth}.network`);
    const again = await k.reboot();
    await again.kernel.iface.settled();
    expect(network.ls(dir)).toEqual(["78-fazt.network"]);
    expect((await again.call<Status>("net.iface.status")).trial).toBeNull();
    await again.close();
    // And the row says so too: the next start has nothing to take back.
    const third = await k.reboot();
    expect(third.kernel.iface.trial()).toBeNull();
    await third.close();
  });

  test("that the system refuses is taken back at once", async () => {
    using network = testNetwork();
    await using k = await testKernel({ network: network.host });
    await k.kernel.iface.settled();
    network.refuse("networkd");
    await expect(k.call("net.iface.set", change)).rejects.toMatchObject({ code: "EIO" });
    await k.kernel.iface.settled();
    expect((await k.call<Status>("net.iface.status")).trial).toBeNull();
    expect(network.ls(dir)).toEqual(["78-fazt.network"]);
  });

  test("of an interface that is not there, or that contradicts itself, is refused", async () => {
    using network = testNetwork();
    await using k = await testKernel({ network: network.host });
    const refused = (input: object) =>
      k.call("net.iface.set", input).then(
        () => "taken",
        (error: Error) => error.message,
      );
    expect(await refused({ iface: "eth99" })).toContain('cannot set "eth99": no such interface');
    expect(await refused({ iface: eth, ipv4: "static" })).toBe(
      'bad argument "addresses": must hold one of version 4',
    );
    expect(await refused({ mtu: 1400 })).toBe('cannot set "mtu": no interface is named');
  });

  test("with multicast DNS off closes its port", async () => {
    using network = testNetwork();
    await using k = await testKernel({ network: network.host });
    const ports = async () =>
      (await k.call<{ port: number | null }[]>("net.firewall.ls")).map(({ port }) => port);
    expect(await ports()).toContain(5353);
    await k.call("net.iface.set", { mdns: false });
    expect(await ports()).not.toContain(5353);
    expect(network.ruleset()).not.toContain("5353");
  });
});

test("on another machine the network is the host's: it is shown, not set", async () => {
  await using k = await testKernel();
  const links = await k.call<Link[]>("net.iface.ls");
  expect(links.map(({ name }) => name)).not.toContain("lo");
  const shown = links.flatMap((each) => each.addresses.map(({ address }) => address));
  const own = addresses().addresses.map(({ address, prefix }) => `${address}/${prefix}`);
  expect(shown.toSorted()).toEqual(own.toSorted());
  const status = await k.call<Status>("net.iface.status");
  expect([status.owned, status.hostname]).toEqual([false, addresses().hostname]);
  for (const [name, input] of [
    ["net.iface.set", { hostname: "x" }],
    ["net.iface.confirm", {}],
    ["net.firewall.ls", {}],
  ] as const) {
    await expect(k.call(name, input)).rejects.toMatchObject({ code: "ENOSYS" });
  }
});
