/** Opens the store of a target; what a kind of store costs is loaded when it is the one. */
import type { ReplicaStore, Target } from "./driver.ts";
import type { ReplicaLimits } from "./limits.ts";

export async function openStore(target: Target, limits: ReplicaLimits): Promise<ReplicaStore> {
  if (target.kind === "file") return (await import("./store-file.ts")).openFileStore(target.path);
  return (await import("./store-s3.ts")).openS3Store(target, limits);
}
