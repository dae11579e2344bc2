/**
 * driver: external devices. The one there is: a replica of every database in an S3 bucket or a
 * directory, in Litestream v0.3's layout with records of our own beside it.
 *
 *     await driver.replica.set(caller, { url: "s3://bucket/prefix", keyId, secret, region });
 *
 * Invariants
 * 1. A log is copied into its file only after it was read for the replica; a doubt about that begins
 *    a new generation.
 * 2. What is shipped is a prefix of what was committed, at every moment.
 * 3. A restore is checked from its first byte to its last before it takes any place.
 * 4. Two writers never write to one generation.
 * It never holds up a commit for the network, never calls the store when nothing has changed, and
 * never opens a database in the kernel's process.
 */

export * as limits from "./limits.ts";
export {
  createDriver,
  type Drill,
  type Driver,
  type DriverOptions,
  type ReplicaStatus,
} from "./replica.ts";
export { type MachinePlan, restoreMachine } from "./replica-machine.ts";
export { targetOf, timeOf } from "./replica-target.ts";
export { migrations } from "./schema.ts";
export type { ReplicaStore, Target } from "./store/mod.ts";
