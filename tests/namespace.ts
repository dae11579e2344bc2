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

/** Runs a command in a namespace; its output and exit code. */
function inside(name: string, command: readonly string[]): { out: string; code: number } {
  const done = Bun.spawnSync(["ip", "netns", "exec", name, ...command]);
  return { out: done.stdout.toString() + done.stderr.toString(), code: done.exitCode };
}

/**
 * Starts networkd in a namespace, with `run` as its /run. It takes links as they are only where it
 * believes that udev is not there: a read-only /sys.
 */
function startNetworkd(name: string, run: string): Bun.Subprocess {
  const script = `mount --bind ${run} /run && mount -o remount,ro,bind /sys && exec ${networkd}`;
  const command = ["ip", "netns", "exec", name, "unshare", "-m", "sh", "-c", script];
  return Bun.spawn(command, { stdout: "ignore", stderr: "ignore" });
}

/** A directory networkd may read as its /run; it drops its rights. */
function makeRun(run: string): void {
  for (const name of ["network", "netif"])
    mkdirSync(join(run, "systemd", name), { recursive: true });
  Bun.spawnSync(["chmod", "-R", "a+rX", run]);
}

export interface Router extends AsyncDisposable {
  /** Name of its network namespace; whoever plugs in calls the router's end of the cable `r0`. */
  readonly name: string;
  at(command: readonly string[]): { out: string; code: number };
}

/** A router: DHCPv4 from 192.0.2.10 on, router advertisements of 2001:db8:1::/64. */
export async function startRouter(): Promise<Router> {
  const root = mkdtempSync(join(tmpdir(), "fazt-router-"));
  const name = `fr-${root.slice(-6).toLowerCase()}`;
  makeRun(root);
  writeFileSync(join(root, "systemd/network/10.network"), routerNetwork);
  Bun.spawnSync(["chmod", "-R", "a+rX", root]);
  must(["ip", "netns", "add", name]);
  const child = startNetworkd(name, root);
  return {
    name,
    at: (command) => inside(name, command),
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
      must(["ip", "netns", "del", name]);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Plugs it in. The machine is silent until its network is applied. */
export async function plugIn(): Promise<Cable> {
  const router = await startRouter();
  const root = mkdtempSync(join(tmpdir(), "fazt-cable-"));
  const name = `fm-${root.slice(-6).toLowerCase()}`;
  const children: Bun.Subprocess[] = [];
  let running: Bun.Subprocess | null = null;
  makeRun(join(root, "run"));
  must(["ip", "netns", "add", name]);
  must([
    "ip",
    "link",
    "add",
    "m0",
    "netns",
    name,
    "type",
    "veth",
    "peer",
    "r0",
    "netns",
    router.name,
  ]);

  /**
   * The appliance's networkd reloads, and drops what is no longer said (tests/boot). Debian 12's
   * cannot without a message bus, and one that starts keeps what it finds.
   */
  async function restart(): Promise<void> {
    running?.kill();
    await running?.exited;
    must(["ip", "-n", name, "link", "set", "m0", "down"]);
    must(["ip", "-n", name, "addr", "flush", "dev", "m0"]);
    running = startNetworkd(name, join(root, "run"));
  }

  const run = async (command: readonly string[], input: string) => {
    if (command[0] === "nft") {
      const nft = ["ip", "netns", "exec", name, ...command];
      const done = Bun.spawnSync(nft, { stdin: Buffer.from(input) });
      if (done.exitCode !== 0) throw new Error(done.stderr.toString());
    } else if (command.includes("systemd-networkd.service")) await restart();
  };
  const at: Cable["at"] = (side, command) =>
    side === "router" ? router.at(command) : inside(name, command);
  const look = () => {
    const routes = ["-4", "-6"].map((version) => at("machine", ["ip", version, "route"]).out);
    return [at("machine", ["ip", "-o", "addr"]).out, routes.join("")] as const;
  };
  const rename = () => undefined;

  return {
    host: applianceNetwork({ machine: realMachine(), root, run, rename }),
    at,
    serve(command) {
      children.push(Bun.spawn(["ip", "netns", "exec", name, ...command]));
    },
    async until(satisfied) {
      try {
        await until("the network is as wanted", () => satisfied(...look()), 30_000);
      } catch (error) {
        throw new Error(`${String(error)}; it is:\n${look().join("\n")}`);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const child of [...children, ...(running === null ? [] : [running])]) {
        child.kill();
        await child.exited;
      }
      must(["ip", "netns", "del", name]);
      await router[Symbol.asyncDispose]();
      rmSync(root, { recursive: true, force: true });
    },
  };
}
