/**
 * The image's root booted by systemd-nspawn: the same systemd, units and kernel program as in a
 * machine, up in about a second, without firmware, disks and a kernel of its own. It has its own
 * network with nothing in it but the loopback device.
 *
 *     await using box = await bootContainer();
 *     const { stdout } = await box.fazt("proc", "status");
 *     await box.run("curl", "-s", "http://127.0.0.1/sys/health");
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Image } from "../../ci/image.ts";
import { controlSocketPath } from "../../kernel/data-dir.ts";
import { type Ended, fazt, run } from "../process.ts";
import { testImage } from "./image.ts";
import { Serial } from "./serial.ts";

export interface ContainerOptions {
  /** What is in `/var/lib/fazt` and `/var/log/journal`; else empty folders of its own. */
  readonly dataDir?: string;
  /** Further folders: outside to inside. */
  readonly binds?: Readonly<Record<string, string>>;
  /** System credentials, by name: what a hypervisor hands over in a machine's firmware. */
  readonly credentials?: Readonly<Record<string, string>>;
}

/** A process and all below it. */
function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  const below = children === "" ? [] : children.split(" ").map(Number);
  return [pid, ...below.flatMap(descendants)];
}

/** Whether it is the first process of a namespace below ours. */
function isFirst(pid: number): boolean {
  const numbers = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return numbers?.split(/\s+/).slice(1).at(-1) === "1";
}

class Container implements AsyncDisposable {
  /** What PID 1 says. */
  readonly serial: Serial;
  readonly dataDir: string;
  readonly #image: Image;
  readonly #dir: string;
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;

  constructor(
    child: Bun.Subprocess<"pipe", "pipe", "inherit">,
    image: Image,
    { dir, dataDir }: { readonly dir: string; readonly dataDir: string },
  ) {
    this.#child = child;
    this.#dir = dir;
    this.#image = image;
    this.dataDir = dataDir;
    this.serial = new Serial(child.stdout, (keys) => {
      child.stdin.write(keys);
      child.stdin.flush();
    });
  }

  /** The container's first process, as this machine numbers it. */
  get leader(): number {
    const pid = descendants(this.#child.pid).find(isFirst);
    if (pid === undefined) throw new Error(`the container has no process:\n${this.serial.text}`);
    return pid;
  }

  /** The `fazt` command, over its control socket. */
  fazt(...args: readonly string[]): Promise<Ended> {
    return fazt(this.dataDir, args);
  }

  /** Runs a program of this machine in the container's network. */
  run(...words: readonly string[]): Promise<Ended> {
    return run(["nsenter", "-t", String(this.leader), "-n", ...words]);
  }

  /** Runs a program of the container in it, as root. */
  inside(...words: readonly string[]): Promise<Ended> {
    return run(["nsenter", "-t", String(this.leader), "-a", ...words]);
  }

  /** Lines of its journal: message by message. */
  async journal(...filters: readonly string[]): Promise<string> {
    const options = ["-D", join(this.#dir, "journal"), "--no-pager", "-o", "short-monotonic"];
    return await this.#image.tools.run(["journalctl", ...options, ...filters]);
  }

  /** Awaits a kernel that answers. */
  async up(timeoutMs = 60_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const unix = controlSocketPath(this.dataDir);
      const answer = await fetch("http://localhost/sys/health", { unix }).catch(() => null);
      if (answer?.ok === true) return;
      if (this.#child.exitCode !== null || performance.now() > end) {
        throw new Error(`the container is not up:\n${this.serial.text.slice(-3000)}`);
      }
      await Bun.sleep(50);
    }
  }

  /** Ends it in order. */
  async stop(): Promise<void> {
    await this.inside("systemctl", "--no-block", "poweroff");
    await this.#child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Its processes live in a process namespace of their own and go with the first of them.
    if (this.#child.exitCode === null) process.kill(this.leader, "SIGKILL");
    await this.#child.exited;
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Boots a container; it is running, not yet up, when this returns. */
export async function bootContainer(options: ContainerOptions = {}): Promise<Container> {
  const image = await testImage();
  const dir = mkdtempSync(join(tmpdir(), "fazt-box-"));
  const dataDir = options.dataDir ?? join(dir, "data");
  for (const path of [dataDir, join(dir, "journal")]) mkdirSync(path, { recursive: true });
  const binds = {
    [dataDir]: "/var/lib/fazt",
    [join(dir, "journal")]: "/var/log/journal",
    ...options.binds,
  };
  const machineId = crypto.randomUUID().replaceAll("-", "");
  const words = [
    ...["env", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "systemd-nspawn", "--quiet", "--boot"],
    ...[`--directory=${image.tree}`, "--read-only", "--register=no", "--keep-unit"],
    ...["--private-network", `--machine=fazt-${machineId.slice(0, 8)}`, `--uuid=${machineId}`],
    ...["--timezone=off", "--resolv-conf=off", "--console=pipe", "--tmpfs=/var:mode=755"],
    ...Object.entries(options.credentials ?? {}).map(
      ([name, text]) => `--set-credential=${name}:${text}`,
    ),
    ...Object.entries(binds).map(([outside, inside]) => `--bind=${outside}:${inside}`),
  ];
  const child = Bun.spawn(image.tools.command(words), { stdio: ["pipe", "pipe", "inherit"] });
  return new Container(child, image, { dir, dataDir });
}
