/**
 * What a follower remembers over restarts: one small file a database in `run/replica/`, written
 * whole and renamed. Losing it costs a snapshot, believing it blindly would cost data: whoever loads
 * it compares it with the log and the store.
 *
 * Rule: what is about to be sent is on the disk before it is sent (`promise`). A request may reach
 * the store long after its sender died; whoever comes next must know what it was.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { SysError } from "../errno.ts";
import { syncPath } from "../sync.ts";
import { keysOf, parseKey } from "./format/mod.ts";
import type { Course } from "./replica-follow.ts";
import { follow, type Position } from "./replica-position.ts";
import type { Tail } from "./replica-tail.ts";
import type { ReplicaStore } from "./store/mod.ts";

const Unsigned = z.int().min(0);
const Point = z.strictObject({ offset: Unsigned, check1: Unsigned, check2: Unsigned });

const Place = z.strictObject({
  position: z.strictObject({
    generation: z.string(),
    index: Unsigned,
    header: z
      .strictObject({
        pageBytes: Unsigned,
        sequence: Unsigned,
        salt1: Unsigned,
        salt2: Unsigned,
        bigEndian: z.boolean(),
        check1: Unsigned,
        check2: Unsigned,
      })
      .nullable(),
    point: Point,
    sealed: z.boolean(),
  }),
  epoch: Unsigned,
  sending: Point.nullable(),
  tried: Unsigned.nullable(),
  snapshot: z.strictObject({ index: Unsigned, at: Unsigned }).nullable(),
  segments: z.array(z.tuple([Unsigned, Unsigned, Unsigned])),
  previous: z.string().nullable(),
});

const Remembered = z.strictObject({
  course: Place.nullable(),
  epoch: Unsigned,
  latestAt: Unsigned,
  retainedAt: Unsigned,
});

/** All of it. Unix ms. */
export interface Memories {
  /** Null: a new generation begins. */
  readonly course: Course | null;
  /** Of the lease under which `latestAt` was written down. */
  readonly epoch: number;
  /** The latest time that the replica of this database names. */
  readonly latestAt: number;
  /** When it was last cleaned up. */
  readonly retainedAt: number;
}

export interface Memory {
  load(): Memories | null;
  save(memories: Memories): void;
  /** As `save`, and outlives the power: for what the store may get without our hearing of it. */
  promise(memories: Memories): void;
}

function refusal(error: unknown): unknown {
  if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) return error;
  const failed = "cannot note how far the replica is: the data partition is full (ENOSPC)";
  return new SysError("ENOSPC", failed, {
    hint: "remove files, apps or old releases, run `fazt storage gc`, or add disk",
    cause: error,
  });
}

/** The memory in this file. */
export function openMemory(path: string): Memory {
  const folder = dirname(path);
  const write = (memories: Memories) => {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      writeFileSync(`${path}.new`, JSON.stringify(memories), { mode: 0o600 });
    } catch (error) {
      throw refusal(error);
    }
  };
  return {
    load() {
      try {
        return Remembered.parse(JSON.parse(readFileSync(path, "utf8")));
      } catch {
        // Absent or damaged is the same: nothing is known, and a new generation begins.
        return null;
      }
    },
    save(memories) {
      write(memories);
      renameSync(`${path}.new`, path);
    },
    promise(memories) {
      write(memories);
      syncPath(`${path}.new`);
      renameSync(`${path}.new`, path);
      syncPath(folder);
    },
  };
}

/** What a remembered place is compared with. */
export interface Witnesses {
  readonly store: ReplicaStore;
  readonly database: string;
  readonly tail: Tail;
}

/** A remembered place as it is under this epoch, or why it cannot be believed. */
export async function resumed(
  course: Course,
  epoch: number,
  { store, database, tail }: Witnesses,
): Promise<Course | string> {
  const { position, snapshot } = course;
  if (course.epoch !== epoch) return "the lease was taken anew";
  if (snapshot === null) return "no snapshot was whole yet";
  // Where no log was known, any log fits: one that lived and died meanwhile would be missed.
  if (position.header === null) return "the log was empty when it was last read";
  const found = resumedAt(course, tail);
  if (typeof found === "string") return found;
  const at = { store, database };
  const [whole, more] = await Promise.all([hasSnapshot(course, at), hasMore(course, at)]);
  if (!whole) return "the snapshot is gone from the store";
  return more ? "the store holds something else than the log" : { ...course, position: found };
}

/** The place in the log, or why the log does not go on from there for certain. */
function resumedAt({ position, sending }: Course, tail: Tail): Position | string {
  // Whether it was sealed does not matter here: where it ended is seen from what is left of it.
  const next = follow({ ...position, sealed: true }, tail.header());
  switch (next.kind) {
    case "broken":
      return next.why;
    case "nothing":
      // A log that has gone says nothing about what was written to the file since.
      return "the log was emptied while nobody read it";
    case "next index":
      if (!tail.ended(position)) return "the log began anew while nobody read it";
      return { ...position, sealed: true };
    case "go on": {
      const points = sending === null ? [position.point] : [position.point, sending];
      if (!points.every((point) => tail.agrees({ ...position, point })))
        return "the log is not what was shipped of it";
      // Whether all of it is copied only a look at it under a hold of our own can tell.
      return { ...position, sealed: false };
    }
  }
}

/** Whether the last snapshot is whole in the store. */
export async function hasSnapshot(
  { position, snapshot }: Course,
  { store, database }: Omit<Witnesses, "tail">,
): Promise<boolean> {
  if (snapshot === null) return false;
  const key = keysOf(database, position.generation).snapshotRecord(snapshot.index);
  return (await store.look(key)) !== null;
}

/** Whether the store has what this directory does not know of: it was set back, for example. */
async function hasMore(
  { position, sending }: Course,
  { store, database }: Omit<Witnesses, "tail">,
): Promise<boolean> {
  const { index, point, generation } = position;
  const keys = keysOf(database, generation);
  for await (const { key } of store.list(keys.walPrefix, keys.indexPrefix(index).slice(0, -1))) {
    const parsed = parseKey(key);
    if (parsed?.kind !== "segment" || parsed.index < index) continue;
    if (parsed.index === index && parsed.offset < point.offset) continue;
    // What was sent last may or may not have arrived.
    const sent = parsed.index === index && parsed.offset === point.offset && sending !== null;
    if (!sent) return true;
  }
  return (await store.look(keys.walRecord(index))) !== null;
}
