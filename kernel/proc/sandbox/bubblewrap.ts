/**
 * The command line of bubblewrap: what of the host one process sees.
 *
 *   /runtime       the executable, and the few libraries it is linked with
 *   /app           the release, read-only
 *   /volume        the app's SQL volume, the only place that outlives the process
 *   /tmp           memory, bounded in bytes, and under a root kernel in files
 *   /dev           null, zero, random, urandom
 *   /proc/self     what the runtime reads of itself: its memory map and its size
 *
 * Rules: nothing of the environment, of other descriptors or of the host's files gets in; secrets
 * never stand on a command line, they travel over the socket; the map of /proc/self is bound as
 * the single files of this very process, so no other process and no host is seen in them.
 */
import { existsSync } from "node:fs";
import { tmpBytesMax } from "./limits.ts";

/** Where a loader and the C library can be: what the runtime's executable needs to start. */
const libraries = [
  "/lib64/ld-linux-x86-64.so.2",
  "/lib/ld-linux-aarch64.so.1",
  "/lib/ld-musl-x86_64.so.1",
  "/lib/ld-musl-aarch64.so.1",
];
const libraryNames = ["libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6", "librt.so.1"];
const libraryDirs = [
  "/lib/x86_64-linux-gnu",
  "/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/lib",
];
const devices = ["null", "zero", "random", "urandom"];
const ownFiles = ["maps", "stat", "statm"];

/** Every namespace but that of users, which differs. */
const isolated = [
  ...["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"],
  ...["--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL", "--clearenv"],
  ...["--hostname", "app"],
];

/** The user and group of an app where it has none of its own: nobody. */
const nobody = 65_534;

/** Who the process is: a user id of the shared namespace on this descriptor, or nobody. */
export type Identity = { readonly uid: number; readonly descriptor: number } | null;

export interface Sights {
  readonly identity: Identity;
  /** A mount of the host to be /tmp; null for one that bubblewrap makes. */
  readonly tmp: string | null;
  /** Host paths and where they are seen; the second kind may be written. */
  readonly reads: readonly (readonly [from: string, to: string])[];
  readonly writes: readonly (readonly [from: string, to: string])[];
  /** The descriptor with the filter of system calls. */
  readonly filter: number;
}

/** The words after `bwrap`, up to the program's own. */
export function bubblewrapWords(sights: Sights): string[] {
  const { identity, tmp, reads, writes, filter } = sights;
  const user = identity === null ? ["--unshare-user"] : ["--userns", String(identity.descriptor)];
  const id = String(identity?.uid ?? nobody);
  const memory = ["--size", String(tmpBytesMax), "--tmpfs", "/tmp"];
  return [
    ...[...isolated, ...user, "--uid", id, "--gid", id, "--seccomp", String(filter)],
    ...["--dir", "/dev", ...devices.flatMap((name) => bind("--dev-bind", `/dev/${name}`))],
    ...[...ownFiles.flatMap((name) => bind("--ro-bind", `/proc/self/${name}`))],
    ...["--symlink", "/runtime", "/proc/self/exe"],
    // Before what is bound below it: a checkout may be in the host's /tmp.
    ...(tmp === null ? memory : ["--bind", tmp, "/tmp"]),
    ...libraryPaths().flatMap((path) => bind("--ro-bind", path)),
    ...reads.flatMap(([from, to]) => bind("--ro-bind", from, to)),
    ...writes.flatMap(([from, to]) => bind("--bind", from, to)),
    ...["--remount-ro", "/", "--chdir", "/", "--"],
  ];
}

const bind = (how: string, from: string, to = from): string[] => [how, from, to];

function libraryPaths(): string[] {
  const found = libraries.filter(existsSync);
  for (const name of libraryNames) {
    const path = libraryDirs.map((dir) => `${dir}/${name}`).find(existsSync);
    if (path !== undefined) found.push(path);
  }
  return found;
}

/** Where a distribution has programs and their libraries. */
const programDirs = ["/usr", "/lib", "/lib64", "/nix/store", "/gnu/store"];

/**
 * Starts nothing in an empty sandbox; null when that works, else why not. Binds no whole root:
 * bubblewrap remounts each mount below what it binds, and fails when one of them, the /tmp of an
 * app of another kernel say, goes at that moment.
 */
export function whyItFails(bwrap: string): string | null {
  const inside = "/bwrap";
  const dirs = programDirs.flatMap((dir) => bind("--ro-bind-try", dir));
  const words = [...isolated, "--unshare-user", ...dirs, ...bind("--ro-bind", bwrap, inside)];
  const run = Bun.spawnSync([bwrap, ...words, "--", inside, "--version"], {
    env: {},
    stdout: "ignore",
    stderr: "pipe",
  });
  if (run.success) return null;
  const [line = ""] = run.stderr.toString().trim().split("\n");
  return `bubblewrap does not work here: ${line === "" ? "it failed, and did not say why" : line}`;
}
