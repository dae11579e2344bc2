/**
 * The sandbox: the one seam between "run this app" and how the host isolates it. With bubblewrap
 * an app gets namespaces of its own (user, mount, pid, net, ipc, uts, cgroup), no network, no
 * capability, a read-only root with the runtime, its libraries and its release, its volume, a
 * small /tmp, and one descriptor: the socket.
 *
 * Rules
 * 1. Nothing of the environment, of the host's files or of other descriptors gets in.
 * 2. Secrets never stand on a command line: they travel over the socket.
 * 3. Where no sandbox works, apps do not run unless the owner asked for that in so many words.
 */
import { existsSync } from "node:fs";
import { SysError } from "../errno.ts";

/** How an app's process is started: the command line of this very program. */
export interface Launcher {
  /** The executable first, then what makes it an app's process. */
  readonly command: readonly string[];
  /** Host paths the command reads: sources, when the program is not one compiled file. */
  readonly reads: readonly string[];
}

/** What one process may see. Host paths. */
export interface Enclosure {
  readonly releaseDir: string;
  /** The bundle within `releaseDir`. */
  readonly entry: string;
  readonly volumeDir: string;
}

/** How to start it: argv, and where the process will find its things. */
export interface Command {
  readonly argv: string[];
  readonly entry: string;
  readonly volume: string;
}

export interface Sandbox {
  readonly kind: "bubblewrap" | "none";
  readonly detail: string;
  /** EPERM where there is no sandbox and the owner did not ask to go without. */
  enclose(enclosure: Enclosure): Command;
  /** The process beside an app, which sees its volume and nothing else. EPERM as above. */
  encloseVolume(volumeDir: string): Omit<Command, "entry">;
}

/** The life of this program that works on a volume, in place of the app's. */
const volumeLife = (words: readonly string[]): string[] => [...words.slice(0, -1), "volume-child"];

/** Bytes of /tmp: in memory, so it counts against the app's own. */
const tmpBytesMax = 16_777_216;
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

/** Finds out, once, how apps are isolated on this host. */
export function findSandbox(launcher: Launcher, options: { insecure: boolean }): Sandbox {
  const bwrap = Bun.which("bwrap");
  const failure = bwrap === null ? "bubblewrap is not installed" : probe(bwrap);
  if (bwrap !== null && failure === null) return bubblewrap(bwrap, launcher);
  return options.insecure ? bare(launcher, failure ?? "") : refused(failure ?? "");
}

/** Starts nothing in an empty sandbox; null when that works, else why not. */
function probe(bwrap: string): string | null {
  const [executable = "/bin/true"] = ["/usr/bin/true", "/bin/true"].filter(existsSync);
  const run = Bun.spawnSync(
    [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--", executable],
    { env: {}, stdout: "ignore", stderr: "pipe" },
  );
  if (run.success) return null;
  const [line = "it failed"] = run.stderr.toString().trim().split("\n");
  return `bubblewrap does not work here: ${line}`;
}

const namespaces = [
  "--unshare-all",
  "--die-with-parent",
  "--new-session",
  "--as-pid-1",
  "--cap-drop",
  "ALL",
  "--clearenv",
  "--uid",
  "65534",
  "--gid",
  "65534",
  "--hostname",
  "app",
];

function bubblewrap(bwrap: string, launcher: Launcher): Sandbox {
  const [executable = process.execPath, ...rest] = launcher.command;
  // The runtime reads its own memory map at start, from a /proc that shows only itself.
  const system = ["--proc", "/proc", "--dev", "/dev", "--size", String(tmpBytesMax)];
  // After /tmp, which would cover what lies below it on the host.
  const root = ["--tmpfs", "/tmp", "--ro-bind", executable, "/runtime"];
  for (const path of libraryPaths()) root.push("--ro-bind", path, path);
  for (const path of launcher.reads) root.push("--ro-bind", path, path);
  const fixed = [...namespaces, ...system, ...root];
  const start = ["--remount-ro", "/", "--chdir", "/", "--", "/runtime"];
  return {
    kind: "bubblewrap",
    detail: "own namespaces, no network, no capabilities, read-only root (bubblewrap)",
    enclose: ({ releaseDir, entry, volumeDir }) => ({
      argv: [
        bwrap,
        ...fixed,
        ...["--ro-bind", releaseDir, "/app", "--bind", volumeDir, "/volume"],
        ...start,
        ...rest,
      ],
      entry: `/app/${entry}`,
      volume: "/volume/app.db",
    }),
    encloseVolume: (volumeDir) => ({
      argv: [bwrap, ...fixed, "--bind", volumeDir, "/volume", ...start, ...volumeLife(rest)],
      volume: "/volume/app.db",
    }),
  };
}

function libraryPaths(): string[] {
  const found = libraries.filter(existsSync);
  for (const name of libraryNames) {
    const path = libraryDirs.map((dir) => `${dir}/${name}`).find(existsSync);
    if (path !== undefined) found.push(path);
  }
  return found;
}

function bare(launcher: Launcher, why: string): Sandbox {
  return {
    kind: "none",
    detail: `apps run WITHOUT a sandbox, as the owner asked (${why})`,
    enclose: ({ releaseDir, entry, volumeDir }) => ({
      argv: [...launcher.command],
      entry: `${releaseDir}/${entry}`,
      volume: `${volumeDir}/app.db`,
    }),
    encloseVolume: (volumeDir) => ({
      argv: volumeLife(launcher.command),
      volume: `${volumeDir}/app.db`,
    }),
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
  };
}
