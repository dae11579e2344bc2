/**
 * What of each database can be restored: its generations, from their first snapshot to the last
 * shipment.
 */

import { keysOf } from "./format/mod.ts";
import { candidates, replicated } from "./replica-plan.ts";
import type { ReplicaStore } from "./store/mod.ts";

/** One generation of one database. Unix ms. */
export interface ListedGeneration {
  readonly database: string;
  readonly generation: string;
  readonly startedAt: number;
  readonly snapshots: number;
  /** The earliest time that can be restored from it. */
  readonly fromAt: number;
  /** The last shipment to it. */
  readonly untilAt: number;
}

/** Every generation that has a snapshot, the oldest of each database first. */
export async function listReplica(store: ReplicaStore): Promise<ListedGeneration[]> {
  const listed: ListedGeneration[] = [];
  for (const database of await replicated(store)) {
    for (const { generation, startedAt, snapshots } of await candidates(store, database)) {
      if (snapshots.length === 0) continue;
      const times = snapshots.map(({ at }) => at);
      const untilAt = await lastShipment(store, keysOf(database, generation).walPrefix);
      listed.push({
        database,
        generation,
        startedAt,
        snapshots: snapshots.length,
        fromAt: Math.min(...times),
        untilAt: Math.max(untilAt, ...times),
      });
    }
  }
  return listed;
}

async function lastShipment(store: ReplicaStore, prefix: string): Promise<number> {
  let last = 0;
  for await (const { modifiedAt } of store.list(prefix)) last = Math.max(last, modifiedAt);
  return last;
}
