/**
 * The tools tree: a folder with everything that builds and boots the image (mkosi, mkfs, GRUB's
 * modules, QEMU, firmware, systemd-nspawn), of the release that the image is made from. It is made
 * once by mmdebstrap and kept in the cache, so that the building machine gets no package of another
 * release and an old one builds what a new one does.
 *
 * Programs run in it by `command`: the tree is their root, the project, the cache and /tmp are
 * where they are outside, and so are devices and network.
 */
import { existsSync, mkdirSync } from "node:fs";
import { administrator } from "../install.ts";
import { root } from "../with.mjs";
import { type Distribution, hostMirror, releaseOf, sourcesOf } from "./mirror.ts";

/** What is slow to make and good for long. A shared folder may be named by FAZT_CACHE. */
export const cacheDir = process.env["FAZT_CACHE"] ?? `${root}.cache`;

const commonPackages = [
  "mkosi", // builds the system
  "systemd", // presets
  "systemd-container", // boots the root without a machine
  "udev",
  "kmod",
  "erofs-utils", // the root's file system
  "dosfstools", // the boot partition
  "mtools",
  "fdisk", // the partition table
  "e2fsprogs", // looking into a data partition
  "grub-common",
  "busybox-static", // the initrd
  "zstd",
  "xz-utils",
  "cpio",
  "xorriso", // NoCloud volumes
  "qemu-utils",
  "bubblewrap",
];

/** As Debian names it; the image is of the machine that builds it. */
export type Architecture = "amd64" | "arm64";

/** The boot loader's files, a machine to try it in and its firmware. */
const machinePackages: Readonly<Record<Architecture, readonly string[]>> = {
  amd64: ["grub-pc-bin", "grub-efi-amd64-bin", "qemu-system-x86", "ovmf"],
  arm64: ["grub-efi-arm64-bin", "qemu-system-arm", "qemu-efi-aarch64"],
};

const architecture: Architecture = process.arch === "arm64" ? "arm64" : "amd64";
const packages = [...commonPackages, ...machinePackages[architecture]];

/** What stays out of the tree: texts for people; the terms of what goes into the image stay in. */
const pathOptions = [
  ...["doc", "man", "locale", "info"].map((name) => `path-exclude=/usr/share/${name}/*`),
  "path-include=/usr/share/doc/*/copyright",
];

const keyringPackage = { debian: "debian-archive-keyring", ubuntu: "ubuntu-keyring" } as const;

export interface Tools {
  readonly distribution: Distribution;
  readonly architecture: Architecture;
  /** A name for what the tree holds: other contents, other id. */
  readonly id: string;
  /** The words that run a command in the tree; `cwd` is the current directory. */
  command(words: readonly string[]): string[];
  /** Runs a command to its end and gives what it wrote; throws with its words when it fails. */
  run(words: readonly string[], options?: { stdin?: string }): Promise<string>;
}

/** The words that give a command the rights of root; throws where there are none. */
function rights(): string[] {
  const words = administrator();
  if (words === null) throw new Error("building and booting the image needs root, or sudo");
  return words;
}

/** Runs a command to its end and gives what it wrote; throws with the end of its words. */
async function finish(words: readonly string[], stdin?: string): Promise<string> {
  const child = Bun.spawn([...words], {
    env: { ...process.env, ...surroundings },
    stdin: stdin === undefined ? "ignore" : new Blob([stdin]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) === 0) return output;
  const tail = `${output}${errors}`.trimEnd().split("\n").slice(-30).join("\n");
  throw new Error(`cannot run "${words.at(-1)}" (${words.slice(0, 3).join(" ")} …):\n${tail}`);
}

/**
 * The time that everything in the image carries, Unix seconds: the same inputs give the same bytes
 * (https://reproducible-builds.org/specs/source-date-epoch/).
 */
export const epochSeconds = 1_767_225_600;

/** The same for every tool, whoever builds and where. */
const surroundings = {
  SOURCE_DATE_EPOCH: String(epochSeconds),
  LC_ALL: "C.UTF-8",
  // FAT keeps the time of the wall.
  TZ: "UTC",
} as const;

async function make(dir: string, distribution: Distribution): Promise<void> {
  console.error(`making the tools tree (once): ${dir}`);
  mkdirSync(cacheDir, { recursive: true });
  const draft = `${dir}.${process.pid}`;
  const release = releaseOf(distribution);
  const include = [...packages, keyringPackage[distribution]].join(",");
  const options = pathOptions.map((option) => `--dpkgopt=${option}`);
  await finish(
    [
      ...rights(),
      "mmdebstrap",
      "--variant=apt",
      "--format=directory",
      `--include=${include}`,
      '--aptopt=APT::Install-Recommends "false"',
      ...options,
      release,
      draft,
      "-",
    ],
    sourcesOf(hostMirror(), release),
  );
  // systemd-nspawn refuses to work on a machine without a name.
  const machineId = "6661747a000040008000746f6f6c7300\n";
  await finish([...rights(), "tee", `${draft}/etc/machine-id`], machineId);
  await finish([...rights(), "mv", draft, dir]);
}

/** The tools tree, made when it is not there. */
export async function ensureTools(): Promise<Tools> {
  const { distribution } = hostMirror();
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(JSON.stringify([distribution, releaseOf(distribution), packages, pathOptions]));
  const id = hash.digest("hex").slice(0, 12);
  const dir = `${cacheDir}/tools-${id}`;
  if (!existsSync(dir)) await make(dir, distribution);
  const tree = [...rights(), "bwrap", "--bind", dir, "/", "--dev-bind", "/dev", "/dev"];
  const places = ["/tmp", root.slice(0, -1), cacheDir].flatMap((path) => ["--bind", path, path]);
  const rest = ["--proc", "/proc", "--bind", "/sys", "/sys", "--tmpfs", "/run", ...places];
  const path = ["--setenv", "PATH", "/usr/sbin:/usr/bin:/usr/lib/systemd"];
  // Said again inside: sudo, where it is needed, passes nothing on.
  for (const [name, value] of Object.entries(surroundings)) path.push("--setenv", name, value);
  const life = ["--cap-add", "ALL", "--die-with-parent", "--chdir", root];
  const command = (words: readonly string[]) => [...tree, ...rest, ...path, ...life, ...words];
  return {
    distribution,
    architecture,
    id,
    command,
    run: (words, options = {}) => finish(command(words), options.stdin),
  };
}
