/**
 * The appliance as an upgrade of its operating system sees it: which slot runs, what the boot loader
 * says, how the machine is, and what a start that failed has left behind.
 */
import { readdirSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { SysError } from "../../errno.ts";
import { type AttemptStore, openAttempts } from "./attempt.ts";
import { type BootPartition, openBootPartition } from "./boot-partition.ts";
import type { Slot } from "./boot-state.ts";
import { lastLinesMax } from "./limits.ts";
import { type Partition, partitionNamed, rootDisk } from "./partition.ts";
import { panicLine, type Remains } from "./reason.ts";
import type { Now } from "./settle.ts";

export interface SystemHost {
  readonly boot: BootPartition;
  readonly attempts: AttemptStore;
  /** The version of the running system. */
  version(): string;
  now(): Now;
  /** The public keys of releases in the running root, a line each. */
  releaseKeys(): string;
  /** Where what is fetched waits for its slot. */
  readonly fetchDir: string;
  /** The partition of a slot's root. ENOENT, EIO. */
  rootOf(slot: Slot): Partition;
  /** Ends this system and starts what the boot loader takes. EIO. */
  restart(): Promise<void>;
  /** Stops the clock that would restart a machine whose trial never ends. Never fails. */
  trialOver(): Promise<void>;
  /** Units that have failed. */
  failedUnits(): Promise<string[]>;
  /** Links with an address that reaches further than the link, each with its family. */
  network(): string[];
  /** What starts since a time, Unix ms, have left; those of the running boot are not among them. */
  remains(sinceMs: number): Promise<Remains>;
}

/** A variable of os-release(5), or null. Pure. */
export function osReleaseValue(text: string, name: string): string | null {
  const value = new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1];
  return value?.replace(/^"(.*)"$/, "$1") ?? null;
}

async function output(...command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "ignore"] });
  const text = await child.stdout.text();
  await child.exited;
  return text;
}

/** What `journalctl --list-boots --output=json` says of one boot. */
interface JournalBoot {
  readonly boot_id: string;
  /** Microseconds since 1970. */
  readonly first_entry: number;
}

/** The boots in the journal that began after a time, Unix ms, without the running one. Pure. */
export function bootsSince(json: string, sinceMs: number, runningId: string): string[] {
  try {
    const boots = JSON.parse(json) as readonly JournalBoot[];
    const running = runningId.replaceAll("-", "");
    return boots
      .filter(({ first_entry }) => first_entry / 1000 > sinceMs)
      .map(({ boot_id }) => boot_id)
      .filter((id) => id !== running);
  } catch {
    // A journal that cannot be read says nothing.
    return [];
  }
}

const pstoreDir = "/sys/fs/pstore";

/** What the firmware kept of the last panic. */
function lastPanic(): string | null {
  try {
    const names = readdirSync(pstoreDir).filter((name) => name.startsWith("dmesg-"));
    for (const name of names) {
      const line = panicLine(readFileSync(`${pstoreDir}/${name}`, "latin1"));
      if (line !== null) return line;
    }
  } catch {
    // A machine whose firmware keeps nothing.
  }
  return null;
}

function addresses(): string[] {
  const found = Object.entries(networkInterfaces()).flatMap(([link, list = []]) =>
    list
      .filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/.test(address))
      .map(({ family }) => `${link} ${family.toLowerCase()}`),
  );
  return [...new Set(found)].sort();
}

/** Where the appliance keeps what it is about its own disk. */
const systemDir = "/data/system";

/** The host of the appliance; throws nothing before it is used. */
export function applianceSystem(dir = systemDir): SystemHost {
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const words = readFileSync("/proc/cmdline", "utf8").trim().split(/\s+/);
  return {
    boot: openBootPartition(() => partitionNamed(rootDisk(), "fazt-esp").device),
    attempts: openAttempts(dir),
    version: () => {
      const text = readFileSync("/usr/lib/os-release", "utf8");
      return osReleaseValue(text, "IMAGE_VERSION") ?? "unknown";
    },
    releaseKeys: () => readFileSync("/usr/lib/fazt/release-keys", "utf8"),
    fetchDir: join(dir, "fetched"),
    now: () => ({ running: rootDisk().running, trial: words.includes("fazt.trial"), bootId }),
    rootOf: (slot) => partitionNamed(rootDisk(), `fazt-root-${slot}`),
    restart: async () => {
      const child = Bun.spawn(["systemctl", "--no-block", "reboot"], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const said = await child.stderr.text();
      if ((await child.exited) === 0) return;
      throw new SysError("EIO", `cannot restart the machine: ${said.trim() || "no answer"}`);
    },
    trialOver: async () => {
      await output("systemctl", "stop", "fazt-trial.timer");
    },
    failedUnits: async () => {
      const text = await output("systemctl", "--failed", "--no-legend", "--plain");
      return text
        .split("\n")
        .map((line) => line.split(" ")[0] ?? "")
        .filter((name) => name !== "");
    },
    network: addresses,
    remains: async (sinceMs) => {
      const boots = bootsSince(
        await output("journalctl", "--list-boots", "-o", "json"),
        sinceMs,
        bootId,
      );
      const last = boots.at(-1);
      const show = [
        "journalctl",
        "-b",
        last ?? "",
        "-n",
        String(lastLinesMax),
        "-o",
        "short-monotonic",
      ];
      const text = last === undefined ? "" : await output(...show, "--no-hostname", "-q");
      const lastLines = text.split("\n").filter((line) => line !== "");
      return { journaled: boots.length, lastLines, panic: lastPanic() };
    },
  };
}
