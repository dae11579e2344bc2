/**
 * The Debian and Ubuntu packages that fazt's programs use, and how they get onto a machine.
 *
 * What is there already is never touched. What is missing is installed by apt as root or through
 * `sudo -n`; a machine without either is told exactly what is missing and why. The npm packages
 * are not this file's business: `ci/with.mjs` has installed them before any TypeScript runs.
 * Servers that apt brings along are not started: the tests start their own.
 */
import { existsSync } from "node:fs";

export type Purpose = "start" | "test" | "bench" | "image";

export interface SystemPackage {
  readonly name: string;
  /** One of these commands on the PATH, or files, means the package need not be installed. */
  readonly commands: readonly string[];
  readonly reason: string;
  readonly purposes: readonly Purpose[];
}

/** Every package that is not from npm, with the reason a person is told. */
const systemPackages: readonly SystemPackage[] = [
  {
    name: "bubblewrap",
    commands: ["bwrap"],
    reason: "the sandbox of apps with server code; the image's tools run in it",
    purposes: ["start", "test", "bench", "image"],
  },
  {
    name: "mmdebstrap",
    commands: ["mmdebstrap"],
    reason: "making the tree of tools that builds and boots the image",
    purposes: ["test", "bench", "image"],
  },
  {
    name: "debian-archive-keyring",
    commands: [
      "/usr/share/keyrings/debian-archive-keyring.gpg",
      "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    ],
    reason: "the signatures of the packages in the image",
    purposes: ["test", "bench", "image"],
  },
  {
    name: "chromium",
    commands: ["chromium", "chromium-browser", "google-chrome"],
    reason: "browser tests of the setup wizard, the shell and apps",
    purposes: ["test"],
  },
  { name: "curl", commands: ["curl"], reason: "a client that is not ours", purposes: ["test"] },
  {
    name: "wget",
    commands: ["wget"],
    reason: "resuming downloads by Range",
    purposes: ["test"],
  },
  {
    name: "sqlite3",
    commands: ["sqlite3"],
    reason: "checking our databases with a reader that is not ours",
    purposes: ["test"],
  },
  {
    name: "strace",
    commands: ["strace"],
    reason: "recording what is written and synced, for the test that cuts the power",
    purposes: ["test"],
  },
  {
    name: "gcc",
    commands: ["gcc", "cc", "clang"],
    reason: "making the native addon of a hostile app",
    purposes: ["test"],
  },
  {
    name: "wrk",
    commands: ["wrk"],
    reason: "load for the benchmarks, and for deploys under load",
    purposes: ["test", "bench"],
  },
  {
    name: "openssl",
    commands: ["openssl"],
    reason: "probing our TLS with a client that is not ours",
    purposes: ["test", "bench"],
  },
  {
    name: "nghttp2-client",
    commands: ["h2load"],
    reason: "HTTP/2 by a client that is not ours",
    purposes: ["test", "bench"],
  },
  {
    name: "pebble",
    commands: ["pebble"],
    reason: "an authority that is not ours, for certificates",
    purposes: ["test"],
  },
  {
    name: "python3-prometheus-client",
    commands: ["/usr/lib/python3/dist-packages/prometheus_client/openmetrics/parser.py"],
    reason: "reading our metrics with a parser that is not ours",
    purposes: ["test"],
  },
  {
    name: "minisign",
    commands: ["minisign"],
    reason: "signatures of releases by a program that is not ours",
    purposes: ["test"],
  },
  {
    name: "nftables",
    commands: ["nft"],
    reason: "the appliance's firewall, loaded into a namespace",
    purposes: ["test"],
  },
  {
    name: "systemd",
    commands: ["/usr/lib/systemd/systemd-networkd"],
    reason: "the appliance's network, read by the program it is written for",
    purposes: ["test"],
  },
  {
    name: "iproute2",
    commands: ["ip"],
    reason: "two namespaces with a cable between them",
    purposes: ["test"],
  },
  {
    name: "iputils-ping",
    commands: ["ping"],
    reason: "a ping through the firewall",
    purposes: ["test"],
  },
  {
    name: "nginx-light",
    commands: ["nginx"],
    reason: "what static files are measured against",
    purposes: ["bench"],
  },
  {
    name: "caddy",
    commands: ["caddy"],
    reason: "what static files are measured against",
    purposes: ["bench"],
  },
];

/** Directories that hold administrators' commands and are often not on a user's PATH. */
const administratorPath = "/usr/local/sbin:/usr/sbin:/sbin";

/** Packages of `purpose` none of whose commands `find` knows. */
export function missingPackages(
  purpose: Purpose,
  find: (command: string) => string | null,
): SystemPackage[] {
  return systemPackages.filter(
    ({ purposes, commands }) => purposes.includes(purpose) && !commands.some((name) => find(name)),
  );
}

function findCommand(command: string): string | null {
  if (command.startsWith("/")) return existsSync(command) ? command : null;
  return Bun.which(command, { PATH: `${process.env["PATH"] ?? ""}:${administratorPath}` });
}

/** The words that run a command with an administrator's rights, or null where we have none. */
export function administrator(): string[] | null {
  if (process.getuid?.() === 0) return [];
  if (!Bun.which("sudo")) return null;
  const probe = Bun.spawnSync(["sudo", "-n", "true"], { stdout: "ignore", stderr: "ignore" });
  return probe.exitCode === 0 ? ["sudo", "-n"] : null;
}

/** RUNLEVEL=1 makes Debian's invoke-rc.d leave the services of new packages alone. */
const quietly = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];

function apt(rights: readonly string[], names: readonly string[]): void {
  const run = (args: readonly string[]) =>
    Bun.spawnSync([...rights, ...quietly, "apt-get", "-qq", ...args], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "inherit",
    });
  const install = ["install", "--yes", "--no-install-recommends", ...names];
  if (run(install).exitCode === 0) return;
  run(["update"]);
  run(install);
}

/**
 * Sees to the packages that `purpose` needs, and gives those that are still missing. Says on
 * standard error what it does, and for each package that it cannot bring, its name and reason.
 */
export function ensureSystem(purpose: Purpose): SystemPackage[] {
  const wanted = missingPackages(purpose, findCommand);
  if (wanted.length === 0) return [];
  const names = wanted.map(({ name }) => name);
  const rights = existsSync("/usr/bin/apt-get") ? administrator() : null;
  if (rights !== null) {
    console.error(`installing ${names.join(" ")}`);
    apt(rights, names);
  }
  const missing = missingPackages(purpose, findCommand);
  for (const { name, reason } of missing) console.error(`missing package "${name}": ${reason}`);
  if (missing.length > 0) {
    console.error(`hint: sudo apt-get install ${missing.map(({ name }) => name).join(" ")}`);
  }
  return missing;
}
