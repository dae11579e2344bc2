/**
 * What can be restored, and what a restore would read: chosen and checked before a byte is written.
 * The choice and the checks are pure functions over what is listed; `readPlan` does the listing.
 *
 * Rules: of the generations that had a snapshot by the time that is asked for, the one that began
 * last; of its snapshots the newest by then; of the log everything shipped by then, without a gap.
 * A gap is named and ends the plan: nothing is skipped. Litestream's own generations have no
 * records; times there are the store's, and a lost end of an index cannot be seen.
 */
import { SysError } from "../errno.ts";
import {
  GenerationRecord,
  generationsPrefix,
  isDatabase,
  isGeneration,
  keysOf,
  machineDatabase,
  parseKey,
  parseRecord,
  recordsPrefix,
  SnapshotRecord,
  sha256,
  WalRecord,
} from "./format/mod.ts";
import type { ReplicaStore } from "./store/mod.ts";

/** A snapshot as it is listed. `record` is null in Litestream's own generations. */
export interface PlannedSnapshot {
  readonly index: number;
  readonly at: number;
  readonly storedBytes: number;
  readonly record: SnapshotRecord | null;
}

/** One index of the log. `offsets` are those of its segments, in order. */
export interface PlannedIndex {
  readonly index: number;
  readonly segments: readonly PlannedSegment[];
  /** Null for the newest one, and in Litestream's own generations. */
  readonly record: WalRecord | null;
  /** Whether everything up to the end of the record is wanted. */
  readonly whole: boolean;
}

export interface PlannedSegment {
  readonly offset: number;
  readonly at: number;
  readonly storedBytes: number;
}

/** What a restore of one database reads, in order. Unix ms. */
export interface Plan {
  readonly database: string;
  readonly generation: string;
  readonly snapshot: PlannedSnapshot;
  readonly indexes: readonly PlannedIndex[];
  /** When the last thing of it was shipped. */
  readonly endsAt: number;
  readonly storedBytes: number;
}

/** A generation as far as the choice needs it. */
export interface Candidate {
  readonly generation: string;
  readonly startedAt: number;
  readonly snapshots: readonly PlannedSnapshot[];
}

/** Which generation and snapshot a restore begins with; null when there is none by then. */
export function choose(
  candidates: readonly Candidate[],
  at: number | null,
): { readonly candidate: Candidate; readonly snapshot: PlannedSnapshot } | null {
  const until = at ?? Number.POSITIVE_INFINITY;
  const inOrder = candidates.toSorted((a, b) => b.startedAt - a.startedAt);
  for (const candidate of inOrder) {
    const snapshot = candidate.snapshots
      .filter((each) => each.at <= until)
      .toSorted((a, b) => b.index - a.index)[0];
    if (snapshot !== undefined) return { candidate, snapshot };
  }
  return null;
}

/** What is listed of a generation's log, from the snapshot's index on. */
export interface Listed {
  readonly database: string;
  readonly segments: readonly (PlannedSegment & { readonly index: number })[];
  readonly records: ReadonlyMap<number, WalRecord>;
}

const lost = (database: string, what: string): SysError =>
  new SysError("EBADMSG", `cannot restore "${database}": ${what}`, {
    hint: "name an earlier time with --at, or another generation",
  });

/** The log to apply. EBADMSG, naming what is missing, when there is a gap in it. */
export function chooseIndexes(
  snapshot: PlannedSnapshot,
  { database, segments, records }: Listed,
  at: number | null,
): PlannedIndex[] {
  const until = at ?? Number.POSITIVE_INFINITY;
  const byIndex = Map.groupBy(segments, ({ index }) => index);
  const newest = Math.max(...byIndex.keys(), ...records.keys(), snapshot.index);
  const recorded = snapshot.record !== null;
  const indexes: PlannedIndex[] = [];
  for (let index = snapshot.index; index <= newest; index++) {
    const found = (byIndex.get(index) ?? []).toSorted((a, b) => a.offset - b.offset);
    const record = records.get(index) ?? null;
    if (recorded && index < newest && record === null)
      throw lost(database, `record of index ${index} is missing`);
    if (index < newest && found.length === 0)
      throw lost(database, `index ${index} of the log is missing`);
    const timed = found.map((segment) => ({ ...segment, at: timeOf(segment, record) }));
    const missing = record?.segments.find(([offset]) => !timed.some((s) => s.offset === offset));
    const late = timed.findIndex((segment) => segment.at > until);
    const wanted = late === -1 ? timed : timed.slice(0, late);
    const whole = record !== null && wanted.length === timed.length;
    if (missing !== undefined && missing[2] <= until) {
      throw lost(database, `segment ${missing[0]} of index ${index} is missing`);
    }
    if (wanted.length > 0) indexes.push({ index, segments: wanted, record, whole });
    if (wanted.length < timed.length) break;
  }
  return indexes;
}

function timeOf(segment: PlannedSegment, record: WalRecord | null): number {
  const known = record?.segments.find(([offset]) => offset === segment.offset);
  return known?.[2] ?? segment.at;
}

/** The databases that a store holds replicas of, the machine's own first. */
export async function replicated(store: ReplicaStore): Promise<string[]> {
  const own = await store.names(`${machineDatabase}/`);
  const volumes = await store.names("volumes/");
  const names = volumes.map((name) => `volumes/${name.replace(/\/$/, "")}`);
  return [...(own.length > 0 ? [machineDatabase] : []), ...names].filter(isDatabase);
}

/** Every generation of a database. */
export async function candidates(store: ReplicaStore, database: string): Promise<Candidate[]> {
  const names = await store.names(generationsPrefix(database));
  const generations = names.map((name) => name.replace(/\/$/, "")).filter(isGeneration);
  const all = await Promise.all(generations.map((each) => candidate(store, database, each)));
  return all.toSorted((a, b) => a.startedAt - b.startedAt);
}

async function candidate(
  store: ReplicaStore,
  database: string,
  generation: string,
): Promise<Candidate> {
  const keys = keysOf(database, generation);
  const begun = await store.look(keys.generationRecord);
  const record =
    begun === null ? null : parseRecord(GenerationRecord, begun.bytes, keys.generationRecord);
  const snapshots: PlannedSnapshot[] = [];
  for await (const { key, sizeBytes, modifiedAt } of store.list(keys.snapshotsPrefix)) {
    const parsed = parseKey(key);
    if (parsed?.kind !== "snapshot") continue;
    const { index } = parsed;
    const known = record === null ? null : await snapshotRecord(store, keys.snapshotRecord(index));
    // Without its record one of ours was never finished.
    if (record !== null && known === null) continue;
    snapshots.push({ index, at: known?.at ?? modifiedAt, storedBytes: sizeBytes, record: known });
  }
  const startedAt = record?.startedAt ?? Math.min(...snapshots.map(({ at }) => at));
  return { generation, startedAt, snapshots };
}

async function snapshotRecord(store: ReplicaStore, key: string): Promise<SnapshotRecord | null> {
  const found = await store.look(key);
  return found === null ? null : parseRecord(SnapshotRecord, found.bytes, key);
}

/** The plan for one database. ENOENT when nothing of it is there by then, EBADMSG for a gap. */
export async function readPlan(
  store: ReplicaStore,
  database: string,
  at: number | null,
): Promise<Plan> {
  const chosen = choose(await candidates(store, database), at);
  if (chosen === null) {
    const when = at === null ? "" : " from before that time";
    throw new SysError(
      "ENOENT",
      `cannot restore "${database}": no snapshot${when} in the replica`,
      {
        hint: "fazt driver replica status shows what is there",
      },
    );
  }
  const { candidate: from, snapshot } = chosen;
  const listed = await listLog(store, { database, generation: from.generation, snapshot });
  const indexes = chooseIndexes(snapshot, listed, at);
  const segments = indexes.flatMap((each) => each.segments);
  const storedBytes = segments.reduce((sum, each) => sum + each.storedBytes, snapshot.storedBytes);
  const endsAt = Math.max(snapshot.at, ...segments.map((each) => each.at));
  return { database, generation: from.generation, snapshot, indexes, endsAt, storedBytes };
}

async function listLog(
  store: ReplicaStore,
  from: { database: string; generation: string; snapshot: PlannedSnapshot },
): Promise<Listed> {
  const { database, generation, snapshot } = from;
  const keys = keysOf(database, generation);
  const segments: (PlannedSegment & { index: number })[] = [];
  // The key before the first one wanted: every name of that index begins beyond it.
  const after = keys.indexPrefix(snapshot.index).slice(0, -1);
  for await (const { key, sizeBytes, modifiedAt } of store.list(keys.walPrefix, after)) {
    const parsed = parseKey(key);
    if (parsed?.kind !== "segment" || parsed.index < snapshot.index) continue;
    const { index, offset } = parsed;
    segments.push({ index, offset, at: modifiedAt, storedBytes: sizeBytes });
  }
  return { database, segments, records: await walRecords(store, from) };
}

/** The records of the log, each naming the hash of the one before it. */
async function walRecords(
  store: ReplicaStore,
  {
    database,
    generation,
    snapshot,
  }: { database: string; generation: string; snapshot: PlannedSnapshot },
): Promise<Map<number, WalRecord>> {
  const keys = keysOf(database, generation);
  const records = new Map<number, WalRecord>();
  let before: string | null = null;
  for await (const { key } of store.list(`${recordsPrefix(database, generation)}wal-`)) {
    if (key < keys.walRecord(snapshot.index)) continue;
    const found = await store.look(key);
    if (found === null) continue;
    const record = parseRecord(WalRecord, found.bytes, key);
    if (before !== null && record.previous !== before) {
      throw lost(database, `"${key}" does not follow the record before it`);
    }
    before = sha256(found.bytes);
    records.set(record.index, record);
  }
  return records;
}

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
