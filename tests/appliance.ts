/**
 * An appliance's disk in a directory, for tests: two roots as files, a boot partition as a folder, a
 * boot loader that does what `image/boot/grub.cfg` does, and a restart that is a new start's number.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRelease, type ReleaseOptions } from "../ci/release.ts";
import {
  markerText,
  openAttempts,
  type Remains,
  readBootState,
  type Slot,
  type SystemHost,
  type SystemPart,
  type SystemRelease,
  setBootState,
} from "../kernel/proc/system/mod.ts";

import { type Arch, type ArtifactKind, keyFilesOf } from "../kernel/proc/upgrade/mod.ts";

/** Bytes of GRUB's environment block. */
const blockBytes = 1024;
const rootBytes = 64 * 1024;

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** A release whose parts are files of the directory. */
export function testRelease(dir: string, version: string): SystemRelease {
  const part = (name: string, bytes: number): SystemPart => {
    const content = Buffer.alloc(bytes, `${name} ${version} `);
    const path = join(dir, `${name}-${version}`);
    writeFileSync(path, content);
    return { path, sizeBytes: bytes, sha256: sha256(content) };
  };
  return {
    version,
    root: part("root", 40_000),
    kernel: part("kernel", 9_000),
    initrd: part("initrd", 3_000),
  };
}

const keys = keyFilesOf(new Uint8Array(40).fill(7));

/** The public key of what `publish` signs. */
export const releaseKey = keys.publicKey;

/** Publishes a release with these files in a directory below `dir`; answers that directory. */
export function publish(
  dir: string,
  files: Readonly<Record<string, string | Uint8Array>>,
  change: Partial<ReleaseOptions> = {},
): string {
  const out = join(dir, "releases");
  mkdirSync(out, { recursive: true });
  const ingredients = Object.entries(files).map(([kind, content]) => {
    const path = join(out, `${kind}.file`);
    writeFileSync(path, content);
    return { kind: kind as ArtifactKind, path };
  });
  makeRelease({
    ...{
      out,
      key: keys.secretKey,
      version: "2.0.0",
      channel: "stable",
      minFrom: "0.0.0",
      level: 1,
    },
    ...{ arch: process.arch as Arch, notAfter: Date.now() + 86_400_000, ingredients },
    ...change,
  });
  for (const { path } of ingredients) rmSync(path);
  return out;
}

/** The same, as an upgrade gets it. */
export function brought(dir: string, version: string) {
  return { version, bring: async () => testRelease(dir, version) };
}

export interface TestHost extends SystemHost, Disposable {
  readonly dir: string;
  /** What happened to the machine, in order. */
  readonly told: string[];
  /** What a look finds; to be changed by the test. */
  failed: string[];
  left: Remains;
  /** Starts the machine as the boot loader would; answers the slot. */
  start(): Slot;
}

/** An appliance that runs version 1.0.0 in slot a. */
export function testHost(): TestHost {
  const dir = mkdtempSync(join(tmpdir(), "fazt-system-"));
  const boot = join(dir, "boot");
  let bootId = "boot-1";
  let trial = false;
  let running: Slot = "a";
  const told: string[] = [];
  mkdirSync(join(boot, "fazt/a"), { recursive: true });
  const block = "# GRUB Environment Block\ngood=a\ntry=\nleft=\ncanary=\n".padEnd(blockBytes, "#");
  writeFileSync(join(boot, "fazt/grubenv"), block);
  const marker = { sizeBytes: 1, sha256: sha256(Buffer.from("x")) };
  const text = markerText({ version: "1.0.0", root: marker, kernel: marker, initrd: marker });
  writeFileSync(join(boot, "fazt/a/system.json"), text);
  for (const name of ["vmlinuz", "initrd"]) writeFileSync(join(boot, "fazt/a", name), "x");
  writeFileSync(join(dir, "release-keys"), `${keys.publicKey}\n`);
  for (const slot of ["a", "b"]) {
    writeFileSync(join(dir, `root-${slot}`), "x");
    truncateSync(join(dir, `root-${slot}`), rootBytes);
  }
  const attached = async <T>(work: (dir: string) => Promise<T> | T): Promise<T> => await work(boot);
  const versionIn = (slot: Slot): string =>
    JSON.parse(readFileSync(join(boot, "fazt", slot, "system.json"), "utf8")).version as string;
  return {
    dir,
    told,
    failed: [],
    left: { journaled: 0, lastLines: [], panic: null },
    boot: { read: attached, write: attached },
    attempts: openAttempts(join(dir, "system")),
    version: () => versionIn(running),
    releaseKeys: () => readFileSync(join(dir, "release-keys"), "utf8"),
    fetchDir: join(dir, "system/fetched"),
    now: () => ({ running, trial, bootId }),
    rootOf: (slot) => ({
      name: `fazt-root-${slot}`,
      device: join(dir, `root-${slot}`),
      sizeBytes: rootBytes,
    }),
    restart: async () => void told.push("restart"),
    trialOver: async () => void told.push("over"),
    async failedUnits() {
      return this.failed;
    },
    network: () => ["eth0 ipv4"],
    async remains() {
      return this.left;
    },
    start() {
      const state = readBootState(boot);
      bootId = `boot-${Number(bootId.slice(5)) + 1}`;
      trial = state.try !== null && state.left > 0;
      running = trial && state.try !== null ? state.try : state.good;
      if (trial) setBootState(boot, { left: String(state.left - 1) });
      return running;
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true }),
  };
}
