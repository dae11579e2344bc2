/**
 * Opens the store of a target. What a kind of store costs is loaded when it is the one: Amazon's
 * client takes 12 MB.
 */
import type { ReplicaLimits } from "../limits.ts";
import type { ReplicaStore, Target } from "./store.ts";

/**
 * `tries` is how often one request is made at most: 1 for who comes again by itself, more for a
 * restore, which has nothing to show for nine hundred objects when the next is refused once.
 */
export async function openStore(
  target: Target,
  limits: ReplicaLimits,
  tries = 1,
): Promise<ReplicaStore> {
  if (target.kind === "file") return (await import("./file.ts")).openFileStore(target.path);
  return (await import("./s3.ts")).openS3Store(target, limits, tries);
}
