/**
 * Retention: removes what no restore within it can ask for, after a new snapshot is whole. Order:
 * the oldest index first, in an index the highest offset first and offset 0 last, then snapshots,
 * then our records; a cut anywhere leaves something that is still right, or that is removed next.
 */

import {
  generationPrefix,
  generationsPrefix,
  keysOf,
  machineDatabase,
  parseKey,
  recordsPrefix,
} from "./format/mod.ts";
import { candidates, replicated } from "./replica-plan.ts";
import { expired } from "./replica-position.ts";
import type { ReplicaStore } from "./store/mod.ts";

/** Removes what of a database is from before the cut (Unix ms); answers how many objects. */
export async function retain(
  store: ReplicaStore,
  database: string,
  cutAt: number,
): Promise<number> {
  const { generations, below } = expired(await candidates(store, database), cutAt);
  let removed = 0;
  for (const generation of generations) {
    removed += await removeBelow(store, { database, generation, index: Number.POSITIVE_INFINITY });
    for (const prefix of [
      generationPrefix(database, generation),
      recordsPrefix(database, generation),
    ]) {
      const rest = (await Array.fromAsync(store.list(prefix))).map(({ key }) => key);
      await store.remove(rest);
      removed += rest.length;
    }
  }
  for (const each of below) removed += await removeBelow(store, { database, ...each });
  return removed;
}

/**
 * Removes every trace of databases that are not in the data directory any more (their apps were
 * purged) and were last shipped to before the cut (Unix ms): until then they belong to times that
 * can be restored. Answers the databases. Snapshots go first: what is left then is no replica.
 */
export async function retainGone(
  store: ReplicaStore,
  present: ReadonlySet<string>,
  cutAt: number,
): Promise<string[]> {
  const gone: string[] = [];
  for (const database of await replicated(store)) {
    if (database === machineDatabase || present.has(database)) continue;
    const objects: string[] = [];
    let newestAt = 0;
    for (const prefix of [generationsPrefix(database), `fazt/${database}/`]) {
      for await (const { key, modifiedAt } of store.list(prefix)) {
        objects.push(key);
        newestAt = Math.max(newestAt, modifiedAt);
      }
    }
    if (newestAt >= cutAt) continue;
    const isSnapshot = (key: string) => parseKey(key)?.kind === "snapshot";
    await store.remove(objects.filter(isSnapshot));
    await store.remove(objects.filter((key) => !isSnapshot(key)));
    gone.push(database);
  }
  return gone;
}

async function removeBelow(
  store: ReplicaStore,
  of: { readonly database: string; readonly generation: string; readonly index: number },
): Promise<number> {
  const keys = keysOf(of.database, of.generation);
  let removed = 0;
  let [held, heldIndex]: [string[], number] = [[], 0];
  const drop = async () => {
    // Listed in order of offset: the last one goes first.
    await store.remove(held.toReversed());
    removed += held.length;
    held = [];
  };
  for await (const { key } of store.list(keys.walPrefix)) {
    const parsed = parseKey(key);
    if (parsed === null) continue;
    if (parsed.index >= of.index) break;
    if (parsed.index !== heldIndex) await drop();
    heldIndex = parsed.index;
    held.push(key);
  }
  await drop();
  for await (const { key } of store.list(keys.snapshotsPrefix)) {
    const index = parseKey(key)?.index ?? Number.POSITIVE_INFINITY;
    if (index >= of.index) break;
    held.push(key, keys.snapshotRecord(index));
  }
  await drop();
  const records = `${recordsPrefix(of.database, of.generation)}wal-`;
  for await (const { key } of store.list(records)) {
    if (Number.isFinite(of.index) && key >= keys.walRecord(of.index)) break;
    held.push(key);
  }
  await drop();
  return removed;
}
