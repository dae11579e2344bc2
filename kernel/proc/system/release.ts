/**
 * A release's operating system on its way to a slot: found, verified, and brought to this machine.
 *
 * Rules: the manifest's signature is verified by the keys of the running root, which nobody can
 * write to; whether it suits is decided before anything of it is fetched; what was fetched goes when
 * the slot has it.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import {
  type Arch,
  type Artifact,
  type Consent,
  fetchArtifact,
  openSource,
  type PublicKey,
  publicKeyOf,
  type Release,
  readRelease,
  refusalOf,
  unpackedOf,
} from "../upgrade/mod.ts";
import type { SystemPart, SystemRelease } from "./slot.ts";

const kinds = ["root", "kernel", "initrd"] as const;

/** The three parts of a release's system. EBADMSG when it has none. */
function partsOf({ manifest }: Release): readonly Artifact[] {
  return kinds.map((kind) => {
    const found = manifest.artifacts.find((artifact) => artifact.kind === kind);
    if (found !== undefined) return found;
    throw new SysError("EBADMSG", `cannot upgrade to "${manifest.version}": no system in it`, {
      hint: "it is a release of the program alone: fazt proc upgrade start",
    });
  });
}

/** EBADMSG when a release has no whole system in it. */
export const mustHaveSystem = (release: Release): void => void partsOf(release);

export interface Wish {
  /** A URL, or a directory of the machine. */
  readonly from: string;
  readonly consent: Consent;
}

export interface Here {
  readonly machine: Machine;
  /** The version of the running system. */
  readonly version: string;
  readonly blocked: Readonly<Record<string, string>>;
  /** The keys of the running root, a line each; comments, as minisign writes them, are passed over. */
  readonly keys: string;
}

/** The keys in such a file. */
export const keysOf = (text: string): PublicKey[] =>
  text
    .split("\n")
    .filter((line) => line !== "" && !line.includes(" "))
    .map(publicKeyOf);

/** Finds the release that is meant, and refuses what does not suit; `refusalOf` has the errnos. */
export async function findSystem(wish: Wish, here: Here): Promise<Release> {
  const { machine, version, blocked } = here;
  const arch = process.arch as Arch;
  const source = openSource(wish.from, { channel: "stable", arch }, machine);
  const release = await readRelease(source, keysOf(here.keys));
  // A directory that the owner names is as good as their consent to its channel.
  const about = { version, arch, channel: release.manifest.channel, now: machine.now(), blocked };
  const refusal = refusalOf(release.manifest, about, wish.consent);
  if (refusal !== null) throw refusal;
  partsOf(release);
  return release;
}

/** Brings the system of a release into a directory of its own. ENOSPC, EBADMSG, ENOENT, EIO. */
export async function fetchSystem(
  release: Release,
  dir: string,
  machine: Machine,
): Promise<SystemRelease> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const fetched: SystemPart[] = [];
  const { signal } = new AbortController();
  for (const artifact of partsOf(release)) {
    const into = join(dir, artifact.kind);
    await fetchArtifact(release.source, artifact, { machine, signal, into });
    fetched.push({ path: into, ...unpackedOf(artifact) });
  }
  const [root, kernel, initrd] = fetched as [SystemPart, SystemPart, SystemPart];
  return { version: release.manifest.version, root, kernel, initrd };
}

/** Forgets what was fetched. */
export function dropFetched(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
}
