/**
 * The operating system below fazt, built by mkosi from `mkosi.conf`: packages, pruned. It changes
 * seldom and takes a minute, so it is kept in the cache under a hash of what it is made of; fazt,
 * its units and settings come on top of it later (`root.ts`).
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { root } from "../with.mjs";
import { hostMirror, releaseOf, sourcesOf } from "./mirror.ts";
import { cacheDir, type Tools } from "./tools.ts";

export interface System {
  /** The root, a folder. */
  readonly tree: string;
  readonly kernel: string;
  /** Lines of name, version, architecture, source, separated by tabs. */
  readonly packages: string;
  /** The terms of each package, a file a package. */
  readonly licenses: string;
}

const inputs = [
  ...["mkosi.conf", "mkosi.profiles/**/*.conf"],
  ...["image/prune.chroot", "image/finalize"],
];

/** SHA-256 of what the system is made of; the state of the mirror is not known here. */
function inputHash(tools: Tools): string {
  const hash = new Bun.CryptoHasher("sha256").update(tools.id);
  const names = inputs.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(root)].sort());
  for (const name of names) {
    hash.update(`${name}\0`).update(readFileSync(root + name));
  }
  return hash.digest("hex").slice(0, 12);
}

/** Builds into a folder, whatever the cache holds. */
export async function buildSystem(tools: Tools, dir: string): Promise<System> {
  const { distribution } = tools;
  const sandbox = `${dir}.sandbox`;
  const lists = `${sandbox}/etc/apt/sources.list.d`;
  mkdirSync(lists, { recursive: true });
  mkdirSync(dir, { recursive: true });
  const sources = sourcesOf(hostMirror(), releaseOf(distribution));
  // The name of the file that mkosi would write its own list to.
  writeFileSync(`${lists}/mkosi.sources`, sources);
  const places = [`--sandbox-tree=${sandbox}`, `--output-directory=${dir}`];
  const own = ["--workspace-directory=/tmp", "--force"];
  await tools.run(["mkosi", `--profile=${distribution}`, ...places, ...own, "build"]);
  rmSync(sandbox, { recursive: true });
  return systemIn(dir);
}

function systemIn(dir: string): System {
  return {
    tree: `${dir}/root`,
    kernel: `${dir}/vmlinuz`,
    packages: `${dir}/packages.tsv`,
    licenses: `${dir}/licenses`,
  };
}

/** The system, built when it is not there. */
export async function ensureSystemTree(tools: Tools): Promise<System> {
  const dir = `${cacheDir}/system-${inputHash(tools)}`;
  if (!existsSync(dir)) {
    console.error(`building the system (when its inputs change): ${dir}`);
    const draft = `${dir}.${process.pid}`;
    await buildSystem(tools, draft);
    renameSync(draft, dir);
  }
  return systemIn(dir);
}
