/**
 * The one seam between "run this app" and how the host isolates it: all that the rest of proc knows
 * of the sandbox.
 *
 * Rules: where no sandbox works, apps do not run unless the owner asked for that in so many words;
 * whatever of the full sandbox a host lacks is said in `detail`, never passed over.
 */
import { closeSync, openSync } from "node:fs";
import type { Enclosed, Stdio } from "../../enclosed.ts";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import { bubblewrapWords, whyItFails } from "./bubblewrap.ts";
import { type Confined, confine, makeGroup, type Wants } from "./confine.ts";
import { findHost, type Host, makeTmp, type Tmp } from "./host.ts";
import { appUid } from "./identity.ts";
import { readerMemoryBytes, tmpBytesMax, volumeMemoryBytes } from "./limits.ts";
import type { Habit } from "./share.ts";
import { giveFiles, wallVolume } from "./wall.ts";

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

/** A directory of files from a stranger, and what looks through them. Host path. */
export interface ReaderEnclosure {
  /** All that the process sees beside itself; its files may be read by it. */
  readonly dir: string;
  /** The life of this program that does it. */
  readonly life: string;
  /** Bytes of the largest file it may write there; null: it may write nothing. */
  readonly fileBytes: number | null;
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
  /** A process that parses what strangers made: one directory and no network. EPERM as above. */
  encloseReader(enclosure: ReaderEnclosure): Enclosed;
  /** Every process has ended: lets go of what watched over them. */
  close(): Promise<void>;
}

export interface SandboxOptions {
  /** Runs apps without one where none works. */
  readonly insecure: boolean;
  /** A directory of this kernel alone. */
  readonly runDir: string;
  readonly machine: Machine;
  /** Processes of kernels that hand over to this one: what is theirs is left alone. */
  readonly beside?: readonly number[];
}

/** Finds out, once, how apps are isolated on this host. */
export function findSandbox(launcher: Launcher, options: SandboxOptions): Sandbox {
  const { machine, runDir, insecure, beside = [] } = options;
  const bwrap = Bun.which("bwrap");
  const failure = bwrap === null ? "bubblewrap is not installed" : whyItFails(bwrap);
  if (bwrap !== null && failure === null) {
    return bubblewrap(
      launcher,
      findHost({ bwrap, runDir, machine, program: launcher.command.slice(0, -1), beside }),
    );
  }
  return insecure ? bare(launcher, failure ?? "", machine) : refused(failure ?? "");
}

/** The words of another life of this program, in place of the app's. */
const lifeOf = (words: readonly string[], life: string): string[] => [...words.slice(0, -1), life];

const volumeWants = { memoryBytes: volumeMemoryBytes, weight: 100 } as const;

const readerWants = ({ fileBytes }: ReaderEnclosure): Wants => ({
  memoryBytes: readerMemoryBytes,
  weight: 50,
  fileBytes: fileBytes ?? tmpBytesMax,
});

function bubblewrap(launcher: Launcher, host: Host): Sandbox {
  const [, ...words] = launcher.command;
  // One a running or sleeping app, of a few words each.
  const habits = new Map<string, Habit>();
  const habitOf = (appId: string): Habit => {
    const habit = habits.get(appId) ?? newHabit();
    habits.set(appId, habit);
    return habit;
  };
  const whole = "own namespaces, system calls filtered, no network, no capabilities (bubblewrap)";
  return {
    kind: "bubblewrap",
    lacks: host.lacks,
    detail: host.lacks.length === 0 ? whole : `${whole}; this host lacks: ${host.lacks.join("; ")}`,
    enclose: (enclosure) => {
      const { releaseDir, entry } = enclosure;
      const reads = [[releaseDir, "/app"]] as const;
      const app = { ...onVolume(enclosure), ...enclosure, habit: habitOf(enclosure.appId) };
      const start = prepare(launcher, host, { ...app, words, reads });
      return { start, volume: "/volume/app.db", entry: `/app/${entry}` };
    },
    encloseVolume: (enclosure) => {
      const { fileBytes } = enclosure;
      const rest = { ...volumeWants, fileBytes, words: lifeOf(words, "volume-child"), reads: [] };
      const habit = newHabit();
      const start = prepare(launcher, host, { ...onVolume(enclosure), ...rest, habit });
      return { start, volume: "/volume/app.db" };
    },
    encloseReader: (enclosure) => {
      const { dir, life, fileBytes } = enclosure;
      const bound = [[dir, "/input"]] as const;
      const start = prepare(launcher, host, {
        ...readerWants(enclosure),
        owner: dir,
        habit: newHabit(),
        words: lifeOf(words, life),
        own: (uid) => giveFiles(dir, uid),
        reads: fileBytes === null ? bound : [],
        writes: fileBytes === null ? [] : bound,
      });
      return { start, input: "/input" };
    },
    close: async () => {
      host.processors?.leave();
      await host.reaper?.close();
    },
  };
}

const newHabit = (): Habit => ({ greedyUntilMs: 0 });

/** What a process on an app's volume is and may write. */
const onVolume = ({ appId, volumeDir }: VolumeEnclosure) => ({
  owner: appId,
  own: (uid: number | null) => wallVolume(volumeDir, uid),
  writes: [[volumeDir, "/volume"]] as const,
});

type Bound = readonly (readonly [from: string, to: string])[];

interface Plan extends Wants {
  /** Whose user id the process has. */
  readonly owner: string;
  readonly words: readonly string[];
  readonly reads: Bound;
  readonly writes: Bound;
  readonly habit: Habit;
  /** Makes that user id's what it is to have; null where there is only the kernel's. */
  own(uid: number | null): void;
}

function prepare(launcher: Launcher, host: Host, plan: Plan): Command["start"] {
  const { machine, libc, groups, processors, identities } = host;
  const uid = identities === null ? null : appUid(plan.owner);
  return (stdio, exceeded) => {
    plan.own(uid);
    const group = makeGroup(groups, plan);
    const tmp = makeTmp(host, uid);
    const setUp = () => tmp?.drop();
    const filter = openSync(host.filterFile, "r");
    try {
      const argv = wrapped(launcher, { plan, uid, tmp, filter: stdio.length });
      const passed = identities === null ? [filter] : [filter, identities];
      const child = spawn([host.bwrap, ...argv], [...stdio, ...passed], group?.dir);
      const holdsMemory = groups?.lacks === null;
      const sharesProcessors = groups?.shares === true;
      const held = { holdsMemory, sharesProcessors, wrapped: true };
      const { habit } = plan;
      const means = { machine, libc, group, processors, habit, ...held, setUp, exceeded };
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
    writes: plan.writes,
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
  const held = { holdsMemory: false, sharesProcessors: false, wrapped: false };
  const none = { libc: null, group: null, processors: null, habit: newHabit(), ...held };
  const plain =
    (words: readonly string[], wants: Wants): Command["start"] =>
    (stdio, exceeded) => {
      const child = spawn(words, stdio, undefined);
      const means = { ...none, machine, exceeded, setUp: () => undefined };
      return { child, confined: confine(child.pid, wants, means) };
    };
  return {
    kind: "none",
    lacks: ["any sandbox"],
    detail: `apps run WITHOUT a sandbox, as the owner asked (${why})`,
    enclose: (enclosure) => ({
      start: plain(command, enclosure),
      volume: `${enclosure.volumeDir}/app.db`,
      entry: `${enclosure.releaseDir}/${enclosure.entry}`,
    }),
    encloseVolume: ({ volumeDir, fileBytes }) => ({
      start: plain(lifeOf(command, "volume-child"), { ...volumeWants, fileBytes }),
      volume: `${volumeDir}/app.db`,
    }),
    encloseReader: (enclosure) => ({
      start: plain(lifeOf(command, enclosure.life), readerWants(enclosure)),
      input: enclosure.dir,
    }),
    close: async () => undefined,
  };
}

const refusalHint = "install bubblewrap, or start the kernel with --insecure-no-sandbox";

function refused(why: string): Sandbox {
  const enclose = (): never => {
    throw new SysError("EPERM", `cannot run server code: ${why}`, {
      hint: refusalHint,
    });
  };
  return {
    kind: "none",
    lacks: ["any sandbox"],
    detail: `apps with server code do not run: ${why}`,
    enclose,
    encloseVolume: enclose,
    encloseReader: () => {
      throw new SysError("EPERM", `cannot read a stranger's file: ${why}`, { hint: refusalHint });
    },
    close: async () => undefined,
  };
}
