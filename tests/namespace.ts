/**
 * A machine and its router as two network namespaces with a cable between them: real
 * systemd-networkd on both ends, real nftables. The machine's /run is a directory of the test's, so
 * that what is rendered into it is what networkd reads. Needs root; skipped elsewhere.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realMachine } from "../kernel/machine.ts";
import { applianceNetwork, type NetworkHost } from "../kernel/net/iface/mod.ts";
import { until } from "./process.ts";

const networkd = "/usr/lib/systemd/systemd-networkd";

/** Why this cannot be tried here, or null. */
export const whyNoNamespaces: string | null = (() => {
  if (process.getuid?.() !== 0) return "not root";
  const missing = ["ip", "nft", "unshare", "ping"].find((name) => Bun.which(name) === null);
  if (missing !== undefined) return `no ${missing}`;
  if (!existsSync(networkd)) return "no systemd-networkd";
  const probe = ["unshare", "-n", "-m", "nft", "list", "ruleset"];
  return Bun.spawnSync(probe).exitCode === 0 ? null : "no right to make namespaces";
})();

export interface Cable extends AsyncDisposable {
  /** What a kernel is given as its network. */
  readonly host: NetworkHost;
  /** Runs a command at the machine or the router; its output and exit code. */
  at(side: "machine" | "router", command: readonly string[]): { out: string; code: number };
  /** Starts a program at the machine that lives as long as the test. */
  serve(command: readonly string[]): void;
  /** Resolves when the machine's addresses and routes satisfy. */
  until(satisfied: (addresses: string, routes: string) => boolean): Promise<void>;
}

const routerNetwork = `[Match]
Name=r0
[Network]
Address=192.0.2.1/24
Address=2001:db8:1::1/64
DHCPServer=yes
IPv6SendRA=yes
[DHCPServer]
PoolOffset=10
[IPv6SendRA]
RouterLifetimeSec=1800
[IPv6Prefix]
Prefix=2001:db8:1::/64
`;

function must(command: readonly string[]): void {
  const done = Bun.spawnSync([...command]);
  if (done.exitCode !== 0) throw new Error(`${command.join(" ")}: ${done.stderr.toString()}`);
}

/** Plugs it in. The machine is silent until its network is applied. */
export async function plugIn(): Promise<Cable> {
  const root = mkdtempSync(join(tmpdir(), "fazt-cable-"));
  const tag = root.slice(-6).toLowerCase();
  const names = { machine: `fm-${tag}`, router: `fr-${tag}` };
  const children: Bun.Subprocess[] = [];
  const running: Partial<Record<keyof typeof names, Bun.Subprocess>> = {};

  for (const side of ["machine", "router"] as const) {
    must(["ip", "netns", "add", names[side]]);
    mkdirSync(join(root, side, "run/systemd/network"), { recursive: true });
    mkdirSync(join(root, side, "run/systemd/netif"), { recursive: true });
  }
  Bun.spawnSync(["chmod", "-R", "a+rX", root]);
  mkdirSync(join(root, "machine/proc/sys/kernel"), { recursive: true });
  writeFileSync(join(root, "machine/proc/sys/kernel/hostname"), "before\n");
  writeFileSync(join(root, "router/run/systemd/network/10.network"), routerNetwork);
  must([
    "ip",
    "link",
    "add",
    "m0",
    "netns",
    names.machine,
    "type",
    "veth",
    "peer",
    "name",
    "r0",
    "netns",
    names.router,
  ]);

  /** networkd takes links as they are only where it believes udev is not there: a read-only /sys. */
  async function restart(side: keyof typeof names): Promise<void> {
    const before = running[side];
    before?.kill();
    await before?.exited;
    // The appliance's networkd reloads, and drops what is no longer said (tests/boot); Debian 12's
    // cannot without a message bus, and one that starts keeps what it finds.
    if (side === "machine") {
      Bun.spawnSync(["ip", "-n", names[side], "link", "set", "m0", "down"]);
      Bun.spawnSync(["ip", "-n", names[side], "addr", "flush", "dev", "m0"]);
    }
    const script = `mount --bind ${join(root, side, "run")} /run && mount -o remount,ro,bind /sys && exec ${networkd}`;
    const command = ["ip", "netns", "exec", names[side], "unshare", "-m", "sh", "-c", script];
    running[side] = Bun.spawn(command, { stdout: "ignore", stderr: "ignore" });
  }
  await restart("router");

  const run = async (command: readonly string[], input: string) => {
    if (command[0] === "nft") {
      const nft = ["ip", "netns", "exec", names.machine, ...command];
      const done = Bun.spawnSync(nft, { stdin: Buffer.from(input) });
      if (done.exitCode !== 0) throw new Error(done.stderr.toString());
    } else if (command.includes("systemd-networkd.service")) await restart("machine");
  };

  const at: Cable["at"] = (side, command) => {
    const done = Bun.spawnSync(["ip", "netns", "exec", names[side], ...command]);
    return { out: done.stdout.toString() + done.stderr.toString(), code: done.exitCode };
  };
  const look = () => {
    const routes = ["-4", "-6"].map((version) => at("machine", ["ip", version, "route"]).out);
    return [at("machine", ["ip", "-o", "addr"]).out, routes.join("")] as const;
  };

  return {
    host: applianceNetwork({ machine: realMachine(), root: join(root, "machine"), run }),
    at,
    serve(command) {
      children.push(Bun.spawn(["ip", "netns", "exec", names.machine, ...command]));
    },
    async until(satisfied) {
      try {
        await until("the network is as wanted", () => satisfied(...look()), 30_000);
      } catch (error) {
        throw new Error(`${String(error)}; it is:\n${look().join("\n")}`);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const child of [...children, ...Object.values(running)]) {
        child.kill();
        await child.exited;
      }
      for (const name of Object.values(names)) must(["ip", "netns", "del", name]);
      rmSync(root, { recursive: true, force: true });
    },
  };
}
