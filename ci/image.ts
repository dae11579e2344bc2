/**
 * `npm run image [-- --release]`: the machine as a file, `dist/image/fazt-<version>-<arch>.raw`.
 *
 * Tools tree and system come from the cache (`.cache/`, or FAZT_CACHE) and take a minute or two
 * when they are not there; what changes with every change of fazt takes seconds. Beside the disk are
 * `.raw.zst` (with `--release` at its smallest, which takes minutes), `.qcow2`, the package list,
 * the SBOM and SHA256SUMS.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import manifest from "../package.json";
import { build, inputHash as buildHash } from "./build.ts";
import { makeDisk } from "./image/disk.ts";
import { makeInitrd } from "./image/initrd.ts";
import { locked } from "./image/lock.ts";
import { makeRelease } from "./image/release.ts";
import { makeRoot, packRoot } from "./image/root.ts";
import { ensureSystemTree, type System } from "./image/system.ts";
import { ensureTools, type Tools } from "./image/tools.ts";
import { ensureSystem } from "./install.ts";
import { root } from "./with.mjs";

export const imageDir = `${root}dist/image`;

export interface Image {
  readonly tools: Tools;
  /** The disk. */
  readonly raw: string;
  /** The root as a folder, as systemd-nspawn boots it. */
  readonly tree: string;
  /** The same as a file system. */
  readonly rootImage: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly packages: string;
  readonly system: System;
}

/** What the disk is made of, as one hash; the program's own inputs hold those in image/. */
function inputHash(system: System): string {
  const hash = new Bun.CryptoHasher("sha256").update(`${system.tree}\0${buildHash(root)}`);
  for (const name of [...new Bun.Glob("ci/image/*.ts").scanSync(root)].sort()) {
    hash.update(`${name}\0`).update(readFileSync(root + name));
  }
  return hash.digest("hex");
}

/** How long one of two that want the image waits for the other: a system from nothing, and then some. */
const patienceMs = 15 * 60_000;

/**
 * Makes the disk from what is there, and what is not; one that is made of the same is kept. Two at
 * once in one checkout take turns.
 */
export function makeImage(): Promise<Image> {
  mkdirSync(imageDir, { recursive: true });
  return locked(`${imageDir}/lock`, { patienceMs }, makeImageAlone);
}

async function makeImageAlone(): Promise<Image> {
  const tools = await ensureTools();
  const [system, fazt] = [await ensureSystemTree(tools), await build()];
  const work = `${imageDir}/work`;
  mkdirSync(work, { recursive: true });
  const raw = `${imageDir}/fazt-${manifest.version}-${tools.architecture}.raw`;
  const tree = `${work}/root`;
  const rootImage = `${work}/root.erofs`;
  const initrd = `${work}/initrd`;
  const { kernel, packages } = system;
  const image = { tools, raw, tree, rootImage, kernel, initrd, packages, system };
  const stamp = `${work}/inputs`;
  const hash = inputHash(system);
  if (existsSync(raw) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return image;

  rmSync(stamp, { force: true });
  await makeRoot(tools, system, { fazt, dir: tree, version: manifest.version });
  await packRoot(tools, tree, rootImage);
  const initrdBytes = await makeInitrd(tools, system);
  await Bun.write(initrd, initrdBytes);
  const parts = { kernel, initrd: initrdBytes, rootImage, version: manifest.version };
  await makeDisk(tools, parts, { path: `${raw}.new`, dir: work });
  renameSync(`${raw}.new`, raw);
  writeFileSync(stamp, hash);
  return image;
}

/** Level of zstd for what is published. */
const releaseLevel = 19;
const quickLevel = 3;

if (import.meta.main) {
  if (ensureSystem("image").length > 0) process.exit(1);
  const startedMs = performance.now();
  const { tools, raw, system } = await makeImage();
  const level = process.argv.includes("--release") ? releaseLevel : quickLevel;
  for (const path of await makeRelease(tools, { raw, system, level })) {
    console.log(`${path} ${(Bun.file(path).size / 1e6).toFixed(1)} MB`);
  }
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
}
