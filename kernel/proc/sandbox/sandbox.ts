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
import { type Confined, confine, makeGroup, type Wants } from "./confine.ts";
import { findHost, type Host, makeTmp, type Tmp } from "./host.ts";
import { appUid } from "./identity.ts";
import { volumeMemoryBytes } from "./limits.ts";
import { wallVolume } from "./wall.ts";

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

/** How to start one process. */
export interface Command {
  /** The bundle and the volume, as the process sees them. */
  readonly entry: string;
  readonly volume: string;
  /**
   * Starts it, with these as its first descriptors. `exceeded` is told when it is over its memory,
   * and has to kill it. Throws what the host says; then nothing is left of it.
   */
  start(stdio: readonly Stdio[], exceeded: () => void): Started;
}

/** A descriptor of a process, as the runtime makes it. */
export type Stdio = "ignore" | "pipe" | "socket-fd" | Blob;

export interface Started {
  readonly child: Bun.Subprocess;
  readonly confined: Confined;
}

export type VolumeCommand = Omit<Command, "entry">;

export interface Sandbox {
  readonly kind: "bubblewrap" | "none";
  readonly detail: string;
  /** What of the full sandbox is missing on this host, in words. */
  readonly lacks: readonly string[];
  /** EPERM where there is no sandbox and the owner did not ask to go without. */
  enclose(enclosure: Enclosure): Command;
  /** The process beside an app, which sees its volume and nothing else. EPERM as above. */
  encloseVolume(enclosure: VolumeEnclosure): VolumeCommand;
  /** Every process has ended: lets go of what watched over them. */
  close(): Promise<void>;
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
    return bubblewrap(
      launcher,
      findHost({ bwrap, runDir, machine, program: launcher.command.slice(0, -1) }),
    );
  }
  return insecure ? bare(launcher, failure ?? "", machine) : refused(failure ?? "");
}

/** Starts nothing in an empty sandbox; null when that works, else why not. */
function probe(bwrap: string): string | null {
  const run = Bun.spawnSync(
    [bwrap, "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "--", bwrap, "--version"],
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
    lacks: host.lacks,
    detail: host.lacks.length === 0 ? whole : `${whole}; this host lacks: ${host.lacks.join("; ")}`,
    enclose: (enclosure) => {
      const { releaseDir, entry } = enclosure;
      const plan = { ...enclosure, words, reads: [[releaseDir, "/app"]] as const };
      return { ...prepare(launcher, host, plan), entry: `/app/${entry}` };
    },
    encloseVolume: (enclosure) => {
      const wants = { memoryBytes: volumeMemoryBytes, weight: 100 };
      return prepare(launcher, host, {
        ...enclosure,
        ...wants,
        words: volumeLife(words),
        reads: [],
      });
    },
    close: async () => {
      await host.reaper?.close();
    },
  };
}

interface Plan extends VolumeEnclosure, Wants {
  readonly words: readonly string[];
  readonly reads: readonly (readonly [from: string, to: string])[];
}

function prepare(launcher: Launcher, host: Host, plan: Plan): VolumeCommand {
  const { machine, libc, groups, identities } = host;
  const uid = identities === null ? null : appUid(plan.appId);
  return {
    volume: "/volume/app.db",
    start: (stdio, exceeded) => {
      wallVolume(plan.volumeDir, uid);
      const group = makeGroup(groups, plan);
      const tmp = makeTmp(host, uid);
      const setUp = () => tmp?.drop();
      const filter = openSync(host.filterFile, "r");
      try {
        const argv = wrapped(launcher, { plan, uid, tmp, filter: stdio.length });
        const passed = identities === null ? [filter] : [filter, identities];
        const child = spawn([host.bwrap, ...argv], [...stdio, ...passed], group?.dir);
        const holdsMemory = groups?.lacks === null;
        const means = { machine, libc, group, holdsMemory, wrapped: true, setUp, exceeded };
        const confined = confine(child.pid, plan, means);
        // What is around an app that has gone takes along what is left of it.
        void child.exited.then(() => confined.kill());
        return { child, confined };
      } catch (error) {
        setUp();
        group?.remove();
        throw error;
      } finally {
        closeSync(filter);
      }
    },
  };
}

interface Wrapping {
  readonly plan: Plan;
  readonly uid: number | null;
  readonly tmp: Tmp | null;
  /** The number the process has the filter's descriptor under; that of the ids is the next. */
  readonly filter: number;
}

/** bubblewrap's words, and the program's. */
function wrapped({ command, reads }: Launcher, wrapping: Wrapping): string[] {
  const [executable = process.execPath] = command;
  const { plan, uid, tmp, filter } = wrapping;
  // bubblewrap reads the filter and closes it. The namespace it leaves open: the process is in it
  // already, holds nothing in it, and may enter none.
  const words = bubblewrapWords({
    identity: uid === null ? null : { uid, descriptor: filter + 1 },
    tmp: tmp?.path ?? null,
    reads: [[executable, "/runtime"], ...reads.map((path) => [path, path] as const), ...plan.reads],
    writes: [[plan.volumeDir, "/volume"]],
    filter,
  });
  return [...words, "/runtime", ...plan.words];
}

/** The one place where a process of an app is made: in its group, if there is one. */
function spawn(
  argv: readonly string[],
  stdio: readonly (Stdio | number)[],
  cgroup: string | undefined,
): Bun.Subprocess {
  const options = {
    stdio: stdio as never,
    env: {},
    cwd: "/",
    // A process group of its own, to be killed as one where there is no control group.
    detached: true,
    onExit: () => undefined,
    ...(cgroup === undefined ? {} : { cgroup }),
  };
  return Bun.spawn([...argv], options);
}

function bare({ command }: Launcher, why: string, machine: Machine): Sandbox {
  const none = { libc: null, group: null, holdsMemory: false, wrapped: false } as const;
  const plain = (words: readonly string[], enclosure: VolumeEnclosure & Wants): VolumeCommand => ({
    volume: `${enclosure.volumeDir}/app.db`,
    start: (stdio, exceeded) => {
      const child = spawn(words, stdio, undefined);
      const means = { ...none, machine, exceeded, setUp: () => undefined };
      return { child, confined: confine(child.pid, enclosure, means) };
    },
  });
  return {
    kind: "none",
    lacks: ["any sandbox"],
    detail: `apps run WITHOUT a sandbox, as the owner asked (${why})`,
    enclose: (enclosure) => ({
      ...plain(command, enclosure),
      entry: `${enclosure.releaseDir}/${enclosure.entry}`,
    }),
    encloseVolume: (enclosure) =>
      plain(volumeLife(command), { ...enclosure, memoryBytes: volumeMemoryBytes, weight: 100 }),
    close: async () => undefined,
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
    lacks: ["any sandbox"],
    detail: `apps with server code do not run: ${why}`,
    enclose,
    encloseVolume: enclose,
    close: async () => undefined,
  };
}
