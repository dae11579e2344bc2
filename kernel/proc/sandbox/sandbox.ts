/**
 * The one seam between "run this app" and how the host isolates it: all that the rest of proc knows
 * of the sandbox.
 *
 * Rules: where no sandbox works, apps do not run unless the owner asked for that in so many words;
 * whatever of the full sandbox a host lacks is said in `detail`, never passed over.
 */
import { closeSync, openSync } from "node:fs";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import { bubblewrapWords } from "./bubblewrap.ts";
import { type Confined, confine, type Wants } from "./confine.ts";
import { findHost, type Host, makeTmp } from "./host.ts";
import { appUid, giveVolume } from "./identity.ts";
import { volumeMemoryBytes } from "./limits.ts";

/** How an app's process is started: the command line of this very program. */
export interface Launcher {
  /** The executable first, then what makes it an app's process. */
  readonly command: readonly string[];
  /** Host paths the command reads: sources, when the program is not one compiled file. */
  readonly reads: readonly string[];
}

/** A place for one app's data, and what the process may use. Host paths. */
export interface VolumeEnclosure {
  readonly appId: string;
  readonly volumeDir: string;
  /** Bytes of the largest file it may write. */
  readonly fileBytes: number;
}

/** What one process may see and use. Host paths. */
export interface Enclosure extends VolumeEnclosure, Wants {
  readonly releaseDir: string;
  /** The bundle within `releaseDir`. */
  readonly entry: string;
}

/** How to start one process, once. */
export interface Command {
  readonly argv: string[];
  /** Descriptors that follow the first four (the first three, for a volume), in order. */
  readonly descriptors: readonly number[];
  /** The bundle and the volume, as the process sees them. */
  readonly entry: string;
  readonly volume: string;
  /** Holds the process that was started as `pid`; right after the start, whatever came of it. */
  confine(pid: number, kill: () => void): Confined;
}

export type VolumeCommand = Omit<Command, "entry">;

export interface Sandbox {
  readonly kind: "bubblewrap" | "none";
  readonly detail: string;
  /** EPERM where there is no sandbox and the owner did not ask to go without. */
  enclose(enclosure: Enclosure): Command;
  /** The process beside an app, which sees its volume and nothing else. EPERM as above. */
  encloseVolume(enclosure: VolumeEnclosure): VolumeCommand;
  /** Every process has ended: nothing is left to watch over. */
  close(): void;
}

export interface SandboxOptions {
  /** Runs apps without one where none works. */
  readonly insecure: boolean;
  /** A directory of this kernel alone. */
  readonly runDir: string;
  readonly machine: Machine;
}

/** Finds out, once, how apps are isolated on this host. */
export function findSandbox(launcher: Launcher, options: SandboxOptions): Sandbox {
  const { machine, runDir, insecure } = options;
  const bwrap = Bun.which("bwrap");
  const failure = bwrap === null ? "bubblewrap is not installed" : probe(bwrap);
  if (bwrap !== null && failure === null) {
    return bubblewrap(launcher, findHost(bwrap, runDir, machine));
  }
  return insecure ? bare(launcher, failure ?? "", machine) : refused(failure ?? "");
}

/** Starts nothing in an empty sandbox; null when that works, else why not. */
function probe(bwrap: string): string | null {
  const run = Bun.spawnSync(
    [bwrap, "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "--", "/bin/true"],
    { env: {}, stdout: "ignore", stderr: "pipe" },
  );
  if (run.success) return null;
  const [line = "it failed"] = run.stderr.toString().trim().split("\n");
  return `bubblewrap does not work here: ${line}`;
}

/** The life of this program that works on a volume, in place of the app's. */
const volumeLife = (words: readonly string[]): string[] => [...words.slice(0, -1), "volume-child"];

function bubblewrap(launcher: Launcher, host: Host): Sandbox {
  const [, ...words] = launcher.command;
  const whole = "own namespaces, system calls filtered, no network, no capabilities (bubblewrap)";
  return {
    kind: "bubblewrap",
    detail: host.lacks.length === 0 ? whole : `${whole}; this host lacks: ${host.lacks.join("; ")}`,
    enclose: (enclosure) => {
      const { releaseDir, entry } = enclosure;
      const plan = {
        ...enclosure,
        words,
        firstDescriptor: 4,
        reads: [[releaseDir, "/app"]] as const,
      };
      return { ...prepare(launcher, host, plan), entry: `/app/${entry}` };
    },
    encloseVolume: (enclosure) => {
      const wants = { memoryBytes: volumeMemoryBytes, weight: 100 };
      const plan = {
        ...enclosure,
        ...wants,
        words: volumeLife(words),
        firstDescriptor: 3,
        reads: [],
      };
      return prepare(launcher, host, plan);
    },
    close: () => host.reaper?.close(),
  };
}

interface Plan extends VolumeEnclosure, Wants {
  readonly words: readonly string[];
  readonly firstDescriptor: number;
  readonly reads: readonly (readonly [from: string, to: string])[];
}

function prepare(launcher: Launcher, host: Host, plan: Plan): VolumeCommand {
  const [executable = process.execPath] = launcher.command;
  const { identities } = host;
  const uid = identities === null ? null : appUid(plan.appId);
  if (uid !== null) giveVolume(plan.volumeDir, uid);
  const filter = openSync(host.filterFile, "r");
  const tmp = makeTmp(host, uid);
  // bubblewrap reads the filter and closes it. The namespace it leaves open: the process is in it
  // already, holds nothing in it, and may enter none.
  const argv = bubblewrapWords({
    identity: uid === null ? null : { uid, descriptor: plan.firstDescriptor + 1 },
    tmp: tmp?.path ?? null,
    reads: [
      [executable, "/runtime"],
      ...launcher.reads.map((path) => [path, path] as const),
      ...plan.reads,
    ],
    writes: [[plan.volumeDir, "/volume"]],
    filter: plan.firstDescriptor,
  });
  return {
    argv: [host.bwrap, ...argv, "/runtime", ...plan.words],
    descriptors: identities === null ? [filter] : [filter, identities],
    volume: "/volume/app.db",
    confine: (pid, kill) => {
      closeSync(filter);
      const { machine, libc, groups, reaper } = host;
      const setUp = () => tmp?.drop();
      return confine(pid, plan, { machine, libc, groups, reaper, wrapped: true, kill, setUp });
    },
  };
}

function bare({ command }: Launcher, why: string, machine: Machine): Sandbox {
  const start = (words: readonly string[], enclosure: VolumeEnclosure & Wants): VolumeCommand => ({
    argv: [...words],
    descriptors: [],
    volume: `${enclosure.volumeDir}/app.db`,
    confine: (pid, kill) => {
      const none = { libc: null, groups: null, reaper: null, setUp: () => undefined };
      return confine(pid, enclosure, { ...none, machine, wrapped: false, kill });
    },
  });
  return {
    kind: "none",
    detail: `apps run WITHOUT a sandbox, as the owner asked (${why})`,
    enclose: (enclosure) => ({
      ...start(command, enclosure),
      entry: `${enclosure.releaseDir}/${enclosure.entry}`,
    }),
    encloseVolume: (enclosure) =>
      start(volumeLife(command), { ...enclosure, memoryBytes: volumeMemoryBytes, weight: 100 }),
    close: () => undefined,
  };
}

function refused(why: string): Sandbox {
  const enclose = (): never => {
    throw new SysError("EPERM", `cannot run server code: ${why}`, {
      hint: "install bubblewrap, or start the kernel with --insecure-no-sandbox",
    });
  };
  return {
    kind: "none",
    detail: `apps with server code do not run: ${why}`,
    enclose,
    encloseVolume: enclose,
    close: () => undefined,
  };
}
