/**
 * The errnos of the machine's own network: most of them happen on the appliance only, so these
 * cases boot one whose network is a directory.
 */
import { testKernel } from "../kernel.ts";
import { testNetwork } from "../network.ts";
import type { Case } from "./errno-world.ts";

/** Makes a call on an appliance, whose system refuses commands that hold the word. */
const onAppliance =
  (name: string, input: object, refused: string | null = null) =>
  async () => {
    using network = testNetwork();
    await using k = await testKernel({ network: network.host });
    await k.kernel.iface.settled();
    network.refuse(refused);
    return await k.call(name, input);
  };

export const networkCases: readonly Case[] = [
  ["net.iface.set", "ENOSYS", { hostname: "atlas" }],
  ["net.iface.set", "ENOENT", onAppliance("net.iface.set", { iface: "eth99" })],
  ["net.iface.set", "EINVAL", { mtu: 1400 }],
  ["net.iface.set", "EIO", onAppliance("net.iface.set", { mdns: false }, "nft")],
  ["net.iface.confirm", "ENOSYS", {}],
  ["net.iface.confirm", "ENOENT", onAppliance("net.iface.confirm", {})],
  ["net.firewall.ls", "ENOSYS", {}],
];
