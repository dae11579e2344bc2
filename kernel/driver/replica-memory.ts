/**
 * What a follower remembers over restarts: one small file a database in `run/replica/`, written
 * whole and renamed, never fsynced. Losing it costs a snapshot, believing it blindly would cost
 * data: whoever loads it compares it with the log and the store.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import type { Course } from "./replica-follow.ts";

const Unsigned = z.int().min(0);

const Remembered = z.strictObject({
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
    point: z.strictObject({ offset: Unsigned, check1: Unsigned, check2: Unsigned }),
    sealed: z.boolean(),
  }),
  epoch: Unsigned,
  snapshot: z.strictObject({ index: Unsigned, at: Unsigned }).nullable(),
  segments: z.array(z.tuple([Unsigned, Unsigned, Unsigned])),
  previous: z.string().nullable(),
});

export interface Memory {
  load(): Course | null;
  save(course: Course): void;
  forget(): void;
}

/** The memory in this file. */
export function openMemory(path: string): Memory {
  return {
    load() {
      try {
        return Remembered.parse(JSON.parse(readFileSync(path, "utf8")));
      } catch {
        // Absent or damaged is the same: nothing is known, and a new generation begins.
        return null;
      }
    },
    save(course) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(`${path}.new`, JSON.stringify(course), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
    forget() {
      rmSync(path, { force: true });
    },
  };
}
