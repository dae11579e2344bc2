/**
 * What this host can do for the sandbox, found out once: ids for apps, control groups, resource
 * limits, mounts. Whatever is missing is put into words, because the owner is told.
 */
import { mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "../../machine.ts";
import { findGroups, type Groups } from "./cgroup.ts";
import { openIdentities } from "./identity.ts";
import { type Libc, openLibc } from "./libc.ts";
import { tmpBytesMax, tmpFilesMax } from "./limits.ts";
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
  /** Null where memory is watched instead. */
  readonly groups: Groups | null;
  /** Ends what an app's id keeps from ending with the kernel; null where nothing does. */
  readonly reaper: Reaper | null;
  /** Where mounts for processes are made; null where they cannot be. */
  readonly tmpDir: string | null;
  /** What of the full sandbox is missing here, in words. */
  readonly lacks: readonly string[];
}

/** Looks at the host. `runDir` is a directory of this kernel alone. ENOSPC and such are thrown. */
export function findHost(bwrap: string, runDir: string, machine: Machine): Host {
  const filterFile = join(runDir, "syscalls.bpf");
  writeFileSync(filterFile, filterBytes(), { mode: 0o600 });
  const libc = openLibc();
  const groups = findGroups();
  const reaper = createReaper();
  const ids = reaper === null ? { why: "there is no shell" } : openIdentities(bwrap);
  const tmpDir = "fd" in ids && libc !== null ? sweep(join(runDir, "tmp"), libc) : null;
  const lacks = [
    ...("why" in ids ? [`no user id of an app's own (${ids.why})`] : []),
    ...("why" in groups
      ? [`memory is watched, not held, and processors not shared out (${groups.why})`]
      : []),
    ...(libc === null ? ["no resource limits (the C library was not found)"] : []),
    ...(tmpDir === null ? ["no bound on the number of files in /tmp"] : []),
  ];
  return {
    machine,
    bwrap,
    filterFile,
    libc,
    lacks,
    reaper,
    tmpDir,
    groups: "make" in groups ? groups : null,
    identities: "fd" in ids ? ids.fd : null,
  };
}

/** Takes away what an earlier kernel left; null when nothing can be mounted here. */
function sweep(tmpDir: string, libc: Libc): string | null {
  mkdirSync(tmpDir, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(tmpDir)) drop(join(tmpDir, name), libc);
  const path = join(tmpDir, "probe");
  mkdirSync(path);
  const works = libc.mountTmpfs(path, "size=4k");
  drop(path, libc);
  return works ? tmpDir : null;
}

function drop(path: string, libc: Libc): void {
  libc.unmount(path);
  try {
    rmdirSync(path);
  } catch {
    // Still busy, or never there: the next kernel sweeps.
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
