/**
 * A release's manifest: what it is, for which machines, until when, and the size and hash of each of
 * its files. The signature is over the bytes of the file as they are, so they are never rewritten.
 *
 * Rules: unknown keys are let through (a later kernel may say more), wrong ones are not; a name is
 * one plain file name, so that no manifest reaches outside its directory; whether a release suits
 * this machine is decided by `refusalOf`, a pure function, before anything of it is downloaded.
 */
import { z } from "zod";
import { SysError } from "../../errno.ts";
import { artifactBytesMax, artifactsMax } from "./limits.ts";

/** Where releases come from: those everybody gets, and those that are tried before. */
const channels = ["stable", "edge"] as const;
export type Channel = (typeof channels)[number];

const arches = ["x64", "arm64"] as const;
export type Arch = (typeof arches)[number];

/** What an artifact is: the program, or a part of the appliance's operating system. */
const artifactKinds = ["binary", "root", "kernel", "initrd", "grub"] as const;
export type ArtifactKind = (typeof artifactKinds)[number];

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in hexadecimal");
const Bytes = z.int().min(1).max(artifactBytesMax);
const Version = z
  .string()
  .max(64)
  .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/, 'must be such as "1.2.3"');

const Artifact = z.object({
  name: z
    .string()
    .max(200)
    .regex(/^[0-9A-Za-z][0-9A-Za-z._+-]*$/, "must be a plain file name"),
  kind: z.enum(artifactKinds),
  /** Of the file as it is published. */
  sizeBytes: Bytes,
  sha256: Sha256,
  /** A file that is published packed: what it is packed with, and what comes out. */
  packed: z
    .object({ by: z.literal("zstd"), sizeBytes: Bytes, sha256: Sha256 })
    .nullable()
    .default(null),
});

const Manifest = z.object({
  format: z.literal(1),
  version: Version,
  channel: z.enum(channels),
  arch: z.enum(arches),
  /** The oldest version that can go to this one at once. */
  minFrom: Version,
  /** Unix ms after which nobody installs it: an old release cannot be passed off as the newest. */
  notAfter: z.int().min(0),
  /** The highest step of the database's schema it brings. */
  schemaVersion: z.int().min(0),
  /** One paragraph for people. */
  notes: z.string().max(2000).default(""),
  artifacts: z.array(Artifact).min(1).max(artifactsMax),
});

export type Manifest = z.output<typeof Manifest>;
export type Artifact = z.output<typeof Artifact>;

/** Reads a manifest whose signature was verified. EBADMSG names the field. */
export function readManifest(bytes: Uint8Array): Manifest {
  const refuse = (state: string, cause?: unknown) =>
    new SysError("EBADMSG", `cannot read the release: ${state}`, {
      hint: "it may be for a later fazt; upgrade to the version before it first",
      cause,
    });
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw refuse("its manifest is not JSON", error);
  }
  const found = Manifest.safeParse(json);
  if (found.success) return found.data;
  const [first] = found.error.issues;
  throw refuse(`"${first?.path.join(".")}" ${first?.message ?? "is wrong"}`);
}

/** The text of a manifest, as it is signed and published. */
export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(Manifest.parse(manifest), null, 2)}\n`;
}

/** What a release must suit. */
export interface Here {
  readonly version: string;
  readonly arch: Arch;
  readonly channel: Channel;
  /** Unix ms. */
  readonly now: number;
  /** Versions that failed here before, each with why. */
  readonly blocked: Readonly<Record<string, string>>;
}

/** What the owner asked for beyond the usual. */
export interface Consent {
  /** Goes to an older version, or to the same again. */
  readonly downgrade: boolean;
  /** Tries a version again that failed. */
  readonly blocked: boolean;
}

/** Why a release is not for this machine; null: it is. Pure. */
export function refusalOf(manifest: Manifest, here: Here, consent: Consent): SysError | null {
  const { version, arch, channel, minFrom, notAfter } = manifest;
  const refuse = (code: "ENOEXEC" | "EPERM" | "ESTALE" | "EEXIST", state: string, hint: string) =>
    new SysError(code, `cannot upgrade to "${version}": ${state}`, { hint });
  if (arch !== here.arch) {
    const state = `it is for ${arch}, and this machine is ${here.arch}`;
    return refuse("ENOEXEC", state, `take the release for ${here.arch}`);
  }
  if (here.now > notAfter) {
    const hint = "look for a newer one, and whether this machine's clock is right";
    return refuse("ESTALE", "it has expired", hint);
  }
  if (channel === "edge" && here.channel === "stable") {
    const hint = "fazt proc channel edge takes releases that are being tried";
    return refuse("EPERM", 'it is of channel "edge", and this machine is on "stable"', hint);
  }
  if (Bun.semver.order(here.version, minFrom) < 0) {
    const state = `it follows ${minFrom} at least, and this is ${here.version}`;
    return refuse("ENOEXEC", state, `upgrade to ${minFrom} first`);
  }
  const order = Bun.semver.order(version, here.version);
  if (order === 0 && !consent.downgrade) {
    return refuse("EEXIST", "it is what runs", "--downgrade installs it again");
  }
  if (order < 0 && !consent.downgrade) {
    const hint = "fazt proc rollback goes back; --downgrade installs an older one";
    return refuse("EPERM", `${here.version} is newer`, hint);
  }
  const why = here.blocked[version];
  if (why !== undefined && !consent.blocked) {
    const hint = "wait for the next version, or try it again with --retry";
    return refuse("EPERM", `it failed here before: ${why}`, hint);
  }
  return null;
}
