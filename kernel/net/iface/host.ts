/**
 * The machine under the network configuration: puts rendered files under /run in place and has
 * systemd's services, nftables and the kernel's own name follow. Only the appliance has one; on any
 * other machine the network belongs to its host.
 *
 * Rules: only files that carry our name are written or removed; services are told only when one of
 * their files has changed; every command is bounded in time.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname as currentName } from "node:os";
import { dirname, join } from "node:path";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import { commandMsMax } from "./limits.ts";
import { networkDir, type RenderedFile, resolvedDir, timeDir } from "./render.ts";

/** What the system is to be. */
export interface Rendered {
  readonly files: readonly RenderedFile[];
  /** Null: the name stays. */
  readonly hostname: string | null;
  /** For `nft -f`. */
  readonly ruleset: string;
}

export interface NetworkHost {
  /** Makes it so; doing it twice is doing it once. EIO naming what refused, the rest is done. */
  apply(rendered: Rendered): Promise<void>;
}

export interface ApplianceNetworkOptions {
  readonly machine: Machine;
  /** Root of the file system; a test's own directory. */
  readonly root?: string;
  /** Runs one command; a test without systemd gives its own. */
  readonly run?: (command: readonly string[], input: string) => Promise<void>;
  /** Gives the machine its name; a test writes it down. */
  readonly rename?: (hostname: string) => void;
}

const services: readonly (readonly [dir: string, service: string])[] = [
  [networkDir, "systemd-networkd.service"],
  [resolvedDir, "systemd-resolved.service"],
  [timeDir, "systemd-timesyncd.service"],
];

const ours = /(^|-)fazt[-.]/;

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir).filter((name) => ours.test(name));
  } catch {
    return [];
  }
}

/** Makes a directory hold just these files of ours; tells whether anything changed. */
function place(root: string, dir: string, files: readonly RenderedFile[]): boolean {
  const wanted = new Map(files.map(({ path, text }) => [join(root, path), text]));
  const stale = namesIn(join(root, dir))
    .map((name) => join(root, dir, name))
    .filter((path) => !wanted.has(path));
  const fresh = [...wanted].filter(([path, text]) => textOf(path) !== text);
  for (const path of stale) rmSync(path, { force: true });
  for (const [path, text] of fresh) {
    mkdirSync(dirname(path), { recursive: true });
    // Never half a file: a service may read while we write.
    writeFileSync(`${path}.new`, text, { mode: 0o644 });
    renameSync(`${path}.new`, path);
  }
  return stale.length + fresh.length > 0;
}

/**
 * Whether systemctl says that another order took its order's place, as when the machine is switched
 * off meanwhile: what it was to do has been decided otherwise, and nothing failed. Pure.
 */
export function overtaken(said: string): boolean {
  return /^Job for \S+ canceled\.$/m.test(said);
}

/** Runs a command of the system. EIO with its own words. */
async function execute(machine: Machine, command: readonly string[], input: string): Promise<void> {
  const refuse = (why: string) =>
    new SysError("EIO", `cannot run "${command.join(" ")}": ${why}`, {
      hint: "fazt proc logs kernel says more",
    });
  const path = Bun.which(command[0] ?? "", { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" });
  if (path === null) throw refuse("no such program");
  const child = Bun.spawn([path, ...command.slice(1)], {
    stdin: new Blob([input]),
    stdout: "ignore",
    stderr: "pipe",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
  });
  const timer = machine.after(commandMsMax, () => child.kill("SIGKILL"));
  try {
    const said = await new Response(child.stderr).text();
    const code = await child.exited;
    if (code !== 0 && !overtaken(said))
      throw refuse(said.trim().slice(0, 500) || `it ended with ${code}`);
  } finally {
    timer.cancel();
  }
}

/** sethostname(2): /proc/sys is read-only in a container, the name is not. EPERM as EIO. */
function setHostname(name: string): void {
  if (currentName() === name) return;
  const { symbols: libc } = dlopen("libc.so.6", {
    sethostname: { args: [FFIType.ptr, FFIType.u64], returns: FFIType.i32 },
  });
  const bytes = new TextEncoder().encode(name);
  if (libc.sethostname(ptr(bytes), bytes.length) === 0) return;
  throw new SysError("EIO", `cannot name this machine "${name}": the system refuses`);
}

/** The network of the appliance, where systemd is the first process. */
export function applianceNetwork(options: ApplianceNetworkOptions): NetworkHost {
  const { machine, root = "/" } = options;
  const rename = options.rename ?? setHostname;
  const run = options.run ?? ((command, input) => execute(machine, command, input));
  let loaded: string | null = null;

  async function follow({ files, hostname, ruleset }: Rendered): Promise<void> {
    const failures: unknown[] = [];
    const attempt = async (work: () => void | Promise<void>) => {
      try {
        await work();
      } catch (error) {
        failures.push(error);
      }
    };
    // The door before the road: the firewall stands before any address does.
    if (ruleset !== loaded) {
      await attempt(async () => {
        await run(["nft", "-f", "-"], ruleset);
        loaded = ruleset;
      });
    }
    if (hostname !== null) await attempt(() => rename(hostname));
    for (const [dir, service] of services) {
      const own = files.filter(({ path }) => path.startsWith(`${dir}/`));
      await attempt(async () => {
        // One that has yet to start reads them then, and is not waited for.
        if (place(root, dir, own)) await run(["systemctl", "try-reload-or-restart", service], "");
      });
    }
    const [first] = failures;
    if (first instanceof SysError) throw first;
    if (first !== undefined) {
      throw new SysError("EIO", `cannot apply the network's settings: ${String(first)}`, {
        cause: first,
      });
    }
  }

  // One at a time: a later configuration is never overtaken by an earlier one.
  let last: Promise<void> = Promise.resolve();
  return {
    apply(rendered) {
      const next = last.then(() => follow(rendered));
      last = next.catch(() => undefined);
      return next;
    },
  };
}
