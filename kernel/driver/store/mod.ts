/**
 * store: where a replica's objects are kept, an S3 bucket or a directory. A part of driver.
 *
 *     const store = await openStore(target, limits);
 *
 * Invariants
 * 1. An object is there whole or not at all, and durable when `put` has answered.
 * 2. One request is one request: nothing is retried here, every wait is bounded.
 */
export { openStore } from "./open.ts";
export { placeOf, type ReplicaStore, type Target } from "./store.ts";
