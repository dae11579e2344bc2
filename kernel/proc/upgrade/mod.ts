/**
 * upgrade: signed releases, the two slots a program can be in, and the way from one to the other and
 * back. Its calls are in the table under `proc`.
 *
 * Where to read: `manifest.ts` and `signature.ts` are the format, `source.ts` and `artifact.ts` bring
 * a release here, `slots.ts` (what runs, what was tried) and `trial.ts` (may it stay) decide.
 *
 * Invariants
 * 1. Nothing of a release is used before its signature was verified, and no byte of a file before
 *    its hash was.
 * 2. What runs changes by a commit or by the owner: whatever ends an attempt in its middle, what ran
 *    before runs again.
 * 3. An attempt that is not committed has a reason, in one sentence.
 * It never writes where the running program is, and never changes data: the schema only grows.
 */

export { type FetchOptions, fetchArtifact, hashOf, refuseFull, unpackedOf } from "./artifact.ts";
export { releaseKeys } from "./keys.ts";
export * as limits from "./limits.ts";
export {
  type Arch,
  type Artifact,
  type ArtifactKind,
  type Channel,
  type Consent,
  type Here,
  type Manifest,
  manifestText,
  readManifest,
  refusalOf,
} from "./manifest.ts";
export {
  type KeyFiles,
  keyFilesOf,
  type PublicKey,
  publicKeyOf,
  signText,
  verifySignature,
} from "./signature.ts";
export * as slots from "./slots.ts";
export { openSource, type Part, type Release, readRelease, type Source } from "./source.ts";
export {
  openSlots,
  programPath,
  type SlotStore,
  sentDir,
  sentManifest,
  slotsDir,
} from "./store.ts";
export * as trial from "./trial.ts";
export {
  createUpgrade,
  type Order,
  type Upgrade,
  type UpgradeOptions,
  type Wish,
} from "./upgrade.ts";
