/**
 * First boot and the network in the image's own root, with the systemd that is shipped: a machine
 * claimed by a document from its firmware, with the address that it says, and changes on trial.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { hashPassword } from "../../kernel/security/mod.ts";
import { type Router, startRouter } from "../namespace.ts";
import { until } from "../process.ts";
import { bootContainer } from "./container.ts";

const rootPass = "gravel otter lamp seven";

const document = async () => `#fazt
hostname: atlas
claim:
  passwordHash: ${await hashPassword(rootPass)}
  domain: example.com
  email: me@example.com
network:
  links:
    - name: eth0
      ipv4: static
      ipv6: static
      addresses: [203.0.113.7/32, "2001:db8:beef::7/64"]
      gateways: [172.31.1.1, "fe80::1"]
      dns: [192.0.2.53]
`;

/** Plugs a container's eth0 into the router. */
function plug(router: Router, leader: number): void {
  const ends = [
    "eth0",
    "netns",
    String(leader),
    "type",
    "veth",
    "peer",
    "r0",
    "netns",
    router.name,
  ];
  const done = Bun.spawnSync(["ip", "link", "add", ...ends]);
  if (done.exitCode !== 0) throw new Error(done.stderr.toString());
}

test("claimed by its firmware's document; the network it says, changed on trial and taken back", async () => {
  await using router = await startRouter();
  const credentials = { "fazt.user-data": await document() };
  await using box = await bootContainer({ credentials });
  await box.up();
  plug(router, box.leader);
  const json = async <T>(...words: string[]): Promise<T> => {
    const { code, stdout, stderr } = await box.fazt(...words, "--json");
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as T;
  };
  const wire = async () =>
    (await box.inside("networkctl", "--no-pager", "status", "eth0")).stdout +
    (await box.run("ip", "-o", "addr")).stdout +
    (await box.run("ip", "route")).stdout +
    (await box.run("ip", "-6", "route")).stdout;
  const wired = (what: string, wanted: (text: string) => boolean) =>
    until(what, async () => wanted(await wire()), 60_000);

  await until(
    "the claim",
    async () => (await json<{ claimed: boolean }>("security", "owner")).claimed,
    60_000,
  );
  expect(await json("security", "seed")).toMatchObject({
    done: true,
    source: "system credentials",
  });
  const named = Bun.spawnSync(["nsenter", "-t", String(box.leader), "-u", "hostname"]);
  expect(named.stdout.toString().trim()).toBe("atlas");
  await wired(
    "the document's network",
    (text) =>
      text.includes("203.0.113.7/32") &&
      text.includes("2001:db8:beef::7/64") &&
      /default via 172\.31\.1\.1 .*onlink/.test(text) &&
      /default via fe80::1 .*onlink/.test(text),
  );
  const resolv = `/proc/${box.leader}/root/run/systemd/resolve/resolv.conf`;
  await until("the name server", () => readFileSync(resolv, "utf8").includes("192.0.2.53"));
  const rules = await json<{ port: number | null }[]>("net", "firewall", "ls");
  expect(rules.map(({ port }) => port)).toContain(443);

  // A change: reloaded by the real networkd, kept when it is confirmed.
  await json("net", "iface", "set", "eth0", "--hostname", "zeus");
  await wired(
    "automatic",
    (text) => /inet 192\.0\.2\.\d+\/24/.test(text) && !text.includes("203.0.113.7"),
  );
  await json("net", "iface", "confirm");

  // And one that is not: what was before comes back by itself.
  const { untilMs } = await json<{ untilMs: number }>(
    ...["net", "iface", "set", "eth0", "--ipv4", "static", "--addresses", "198.51.100.9/24"],
  );
  await wired("the change", (text) => text.includes("198.51.100.9/24"));
  await wired(
    "what was before",
    (text) => !text.includes("198.51.100.9") && /inet 192\.0\.2\./.test(text),
  );
  expect(Date.now()).toBeGreaterThanOrEqual(untilMs);
  const failed = await box.inside("systemctl", "--failed", "--no-legend", "--plain");
  expect(failed.stdout).toBe("");
}, 240_000);
