/**
 * What this host can do for the sandbox, found out once: ids for apps, control groups, resource
 * limits, mounts. Whatever is missing is put into words, because the owner is told.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Machine } from "../../machine.ts";
import { type Groups, openGroups } from "./cgroup.ts";
import { openIdentities } from "./identity.ts";
import { type Libc, openLibc } from "./libc.ts";
import { tmpBytesMax, tmpFilesMax } from "./limits.ts";
import { findPlace, namesIn } from "./place.ts";
import { cpuGroupOf, openProcessors, type Processors } from "./processors.ts";
import { createReaper, type Reaper } from "./reaper.ts";
import { filterBytes } from "./seccomp.ts";

export interface Host {
  readonly machine: Machine;
  readonly bwrap: string;
  /** The file with the filter of system calls. */
  readonly filterFile: string;
  /** The namespace of the apps' own ids; null where every app is nobody. */
  readonly identities: number | null;
  /** Null where there are no resource limits. */
  readonly libc: Libc | null;
  /** What every process is born in; null where there are no control groups. */
  readonly groups: Groups | null;
  /** Shares processors out where those groups do not; null where nothing does but niceness. */
  readonly processors: Processors | null;
  /** Ends every process when the kernel is killed; null where only bubblewrap does. */
  readonly reaper: Reaper | null;
  /** Where mounts for processes are made; null where they cannot be. */
  readonly tmpDir: string | null;
  /** What of the full sandbox is missing here, in words. */
  readonly lacks: readonly string[];
}

/** Where the sandbox stands; `runDir` is a directory of this kernel alone. */
export interface HostOptions {
  readonly bwrap: string;
  readonly runDir: string;
  readonly machine: Machine;
  /** The command of this very program, for a life without a shell. */
  readonly program: readonly string[];
  /** Processes of kernels that hand over to this one: what is theirs is left alone. */
  readonly beside: readonly number[];
}

/** Looks at the host. ENOSPC and such are thrown. */
export function findHost({ bwrap, runDir, machine, program, beside }: HostOptions): Host {
  const filterFile = join(runDir, "syscalls.bpf");
  writeFileSync(filterFile, filterBytes(), { mode: 0o600 });
  const libc = openLibc();
  const groups = findGroups(runDir, beside);
  const tmpRoot = join(runDir, "tmp", String(process.pid));
  const processors = "dir" in groups && !groups.shares ? findProcessors(groups, beside) : null;
  const cpuDir = processors?.dir ?? "";
  const reaper =
    "dir" in groups
      ? createReaper({ groupDir: groups.dir, tmpDir: tmpRoot, cpuDir, program })
      : null;
  // Not before: the reaper stays outside of what it removes.
  processors?.enter();
  // An id of its own keeps an app from ending with its parent: only where the reaper ends it.
  const ids = "why" in groups ? { why: groups.why } : openIdentities(bwrap);
  const spared = beside.map((pid) => join(runDir, "tmp", String(pid)));
  const tmpDir = "fd" in ids && libc !== null ? openTmp(tmpRoot, { spared, libc }) : null;
  const unheld = "why" in groups ? groups.why : groups.lacks;
  const shares = processors !== null || ("shares" in groups && groups.shares);
  const lacks = [
    ...("why" in ids ? [`no user id of an app's own (${ids.why})`] : []),
    ...(unheld === null ? [] : [`memory is watched, not held (${unheld})`]),
    ...(shares ? [] : ["processors are shared out by niceness alone"]),
    ...(libc === null ? ["no resource limits (the C library was not found)"] : []),
    ...("why" in ids ? ["volumes are watched, not walled in"] : []),
    ...(tmpDir === null ? ["no bound on the number of files in /tmp"] : []),
  ];
  return {
    machine,
    bwrap,
    filterFile,
    libc,
    lacks,
    processors,
    reaper,
    tmpDir,
    groups: "dir" in groups ? groups : null,
    identities: "fd" in ids ? ids.fd : null,
  };
}

function findGroups(runDir: string, beside: readonly number[]): Groups | { readonly why: string } {
  const place = findPlace();
  if ("why" in place) return place;
  try {
    return openGroups(place, runDir, beside);
  } catch (error) {
    return { why: `its cgroup v2 is of no use: ${(error as Error).message}` };
  }
}

/** The groups of version 1 on this host, named as those of version 2 are. */
function findProcessors({ dir }: Groups, beside: readonly number[]): Processors | null {
  try {
    const read = (name: string) => readFileSync(`/proc/self/${name}`, "utf8");
    const own = cpuGroupOf(read("mountinfo"), read("cgroup"));
    return openProcessors(own, basename(dir), beside);
  } catch {
    return null; // no /proc
  }
}

/** Takes away what earlier kernels left; null when nothing can be mounted here. */
function openTmp(
  tmpDir: string,
  { spared, libc }: { readonly spared: readonly string[]; readonly libc: Libc },
): string | null {
  mkdirSync(tmpDir, { recursive: true, mode: 0o700 });
  const parent = dirname(tmpDir);
  for (const run of namesIn(parent)) {
    if (spared.includes(join(parent, run))) continue;
    for (const name of namesIn(join(parent, run))) drop(join(parent, run, name), libc);
    if (join(parent, run) !== tmpDir) remove(join(parent, run));
  }
  const path = join(tmpDir, "probe");
  mkdirSync(path);
  const works = libc.mountTmpfs(path, "size=4k");
  drop(path, libc);
  return works ? tmpDir : null;
}

function drop(path: string, libc: Libc): void {
  libc.unmount(path);
  remove(path);
}

function remove(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Still busy, or gone: the next kernel sweeps, and the reaper of an earlier one may do so now.
  }
}

/** A mount for one process's /tmp. */
export interface Tmp {
  readonly path: string;
  /** Lets go of it on the host; a sandbox that has it keeps it. Any number of times. */
  drop(): void;
}

/** Mounts it; null where this host cannot: bubblewrap's own is bounded in bytes only. */
export function makeTmp({ libc, tmpDir, machine }: Host, uid: number | null): Tmp | null {
  if (libc === null || tmpDir === null || uid === null) return null;
  const path = join(tmpDir, machine.id("tmp"));
  mkdirSync(path);
  const bounds = `size=${tmpBytesMax},nr_inodes=${tmpFilesMax}`;
  const mounted = libc.mountTmpfs(path, `${bounds},mode=0700,uid=${uid},gid=${uid}`);
  let held = true;
  const made = {
    path,
    drop: () => {
      if (held) drop(path, libc);
      held = false;
    },
  };
  if (mounted) return made;
  made.drop();
  return null;
}
