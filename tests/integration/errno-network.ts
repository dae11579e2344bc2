/**
 * The errnos of the machine's own network: most of them happen on the appliance only, so these
 * cases boot one whose network is a directory.
 */
import { rulesMax } from "../../kernel/net/client/limits.ts";
import { testKernel } from "../kernel.ts";
import { testNetwork } from "../network.ts";
import type { Case, World } from "./errno-world.ts";

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

/** As many rules as there may be, and one more. */
const tooMany =
  (call: string) =>
  async ({ k }: World) => {
    const add = (n: number) => k.call(call, { network: `10.${n >> 8}.${n & 255}.1` });
    for (let n = 0; n < rulesMax; n++) await add(n);
    return await add(rulesMax);
  };

export const networkCases: readonly Case[] = [
  ["net.iface.set", "ENOSYS", { hostname: "atlas" }],
  ["net.iface.set", "ENOENT", onAppliance("net.iface.set", { iface: "eth99" })],
  ["net.iface.set", "EINVAL", { mtu: 1400 }],
  ["net.iface.set", "EIO", onAppliance("net.iface.set", { mdns: false }, "nft")],
  ["net.iface.confirm", "ENOSYS", {}],
  ["net.iface.confirm", "ENOENT", onAppliance("net.iface.confirm", {})],
  ["net.firewall.ls", "ENOSYS", {}],
  ...["net.client.deny", "net.client.allow", "net.client.trust"].flatMap((call): Case[] => [
    [call, "EINVAL", { network: "somewhere" }],
    [call, "EDQUOT", tooMany(call)],
  ]),
  ["net.client.rm", "EINVAL", { network: "10.0.0.0/33" }],
  ["net.client.rm", "ENOENT", { network: "10.255.0.0/16" }],
  ["net.limit.set", "ENOENT", { name: "net.none", value: 1 }],
  ["net.limit.set", "ERANGE", { name: "net.headS", value: 0 }],
];
