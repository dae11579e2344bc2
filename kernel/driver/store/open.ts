/**
 * Opens the store of a target. What a kind of store costs is loaded when it is the one: Amazon's
 * client takes 12 MB.
 */
import type { ReplicaLimits } from "../limits.ts";
import type { ReplicaStore, Target } from "./store.ts";

export async function openStore(target: Target, limits: ReplicaLimits): Promise<ReplicaStore> {
  if (target.kind === "file") return (await import("./file.ts")).openFileStore(target.path);
  return (await import("./s3.ts")).openS3Store(target, limits);
}
