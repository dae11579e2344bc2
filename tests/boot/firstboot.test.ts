/**
 * First boot and the network in the image's own root, with the systemd that is shipped: a machine
 * claimed by a document from its firmware, with the address that it says, and changes on trial.
 */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeImage } from "../../ci/image.ts";
import { hashPassword } from "../../kernel/security/mod.ts";
import { type Router, startRouter } from "../namespace.ts";
import { until } from "../process.ts";
import { bootContainer } from "./container.ts";
import { bootVm, makeVmDisk } from "./vm.ts";

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

  // Claimed comes first, and done when the last step is: not at the same moment.
  const seed = () => json<{ done: boolean; source: string } | null>("security", "seed");
  const done = async () => ((await seed())?.done === true ? seed() : null);
  expect(await until("the document", done, 60_000)).toMatchObject({
    source: "system credentials",
  });
  expect(await json("security", "owner")).toMatchObject({ claimed: true });
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

/** A NoCloud volume as an ISO. */
async function cidata(dir: string, userData: string): Promise<string> {
  const { tools } = await makeImage();
  const files = join(dir, "cidata");
  mkdirSync(files);
  writeFileSync(join(files, "user-data"), userData);
  writeFileSync(join(files, "meta-data"), "instance-id: iid-1\nlocal-hostname: cloudy\n");
  const iso = join(dir, "cidata.iso");
  const make = ["xorriso", "-as", "mkisofs", "-quiet", "-V", "CIDATA", "-J", "-r"];
  await tools.run([...make, "-o", iso, files]);
  return iso;
}

const probe = `
const run = (...words) => Bun.spawnSync(words).stdout.toString();
// The firewall is loaded beside the boot, which waits for no network.
const endMs = performance.now() + 60_000;
let rules = "";
let looks = 0;
while (!rules.includes("policy drop") && performance.now() < endMs) {
  rules = run("nft", "list", "ruleset");
  looks++;
}
console.log(JSON.stringify({
  rules,
  looks,
  links: JSON.stringify(require("os").networkInterfaces()),
  files: require("fs").readdirSync("/run/systemd/network").join(),
  failed: run("systemctl", "--failed", "--no-legend", "--plain").trim(),
}));
`;

test("a machine is claimed unattended from a CIDATA volume, with its address, and boots again without a network", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fazt-cidata-"));
  try {
    const userData = `#fazt
claim:
  passwordHash: ${await hashPassword(rootPass)}
  domain: example.com
  email: me@example.com
network:
  links:
    - {name: "*", ipv4: static, addresses: [10.0.2.15/24], gateways: [10.0.2.2], dns: [10.0.2.3]}
`;
    const cdrom = await cidata(dir, userData);
    const disk = await makeVmDisk(join(dir, "disk.qcow2"));
    await using first = await bootVm({ disk, cdrom, probe });
    await first.serial.expect(/first boot: claimed as example.com/, 300_000);
    await first.up(120_000);
    const url = `${first.http}/sys/security/login`;
    const body = JSON.stringify({ user: "root", password: rootPass });
    const headers = { host: "os.example.com", "content-type": "application/json" };
    await until(
      "the owner logs in",
      async () => {
        const answer = await fetch(url, {
          method: "POST",
          headers,
          body,
          redirect: "manual",
        }).catch(() => null);
        return answer?.status === 200;
      },
      120_000,
    );
    const { rules, links, files, failed } = JSON.parse(await first.probed()) as Record<
      string,
      string
    >;
    expect(rules).toContain("policy drop");
    expect(rules).toContain("tcp dport 443 accept");
    expect(links).toContain("10.0.2.15");
    expect(files).toBe("78-fazt.network");
    expect(failed).toBe("");
    await first.powerOff();

    await using second = await bootVm({ disk, network: false, probe });
    await second.serial.expect(/\[ {2}ok {2}\] console/, 300_000);
    expect((JSON.parse(await second.probed()) as Record<string, string>)["failed"]).toBe("");
    expect(second.serial.text).not.toContain("first boot: claimed");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}, 900_000);
