/**
 * The state of the slots on the disk, and where the programs in them are:
 *
 *     <data>/slots/slots.json   <data>/slots/a/fazt   <data>/slots/b/fazt
 *
 * A file and not rows, because the program that starts must know which one it is to be before any
 * program has opened the database; and restoring data must not change the program.
 *
 * Rules: the file is replaced whole, after fsync; one that cannot be read is as none, so that the
 * base runs; only one process writes at a time: the kernel until it orders to be replaced, then the
 * one that replaces it, until that is over.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { freshSlots, type SlotName, type Slots } from "./slots.ts";

export interface SlotStore {
  read(): Slots;
  /** Reads, changes, writes; answers what is on the disk now. ENOSPC and such are thrown. */
  change(by: (state: Slots) => Slots): Slots;
}

export const slotsDir = (dataDir: string): string => join(dataDir, "slots");

/** The program of a slot. */
export const programPath = (dataDir: string, slot: SlotName): string =>
  join(slotsDir(dataDir), slot, "fazt");

/** Where a release that its owner sends is kept, and its manifest there. */
export const sentDir = (dataDir: string): string => join(slotsDir(dataDir), "upload");
export const sentManifest = (dataDir: string): string => join(sentDir(dataDir), "release.json");

/** The store of a data directory; `base` is what a machine has that was never upgraded. */
export function openSlots(dataDir: string, base: Slots["base"]): SlotStore {
  const path = join(slotsDir(dataDir), "slots.json");
  const read = () => parsed(path) ?? freshSlots(base);
  return {
    read,
    change(by) {
      const before = read();
      const after = by(before);
      if (!Bun.deepEquals(before, after)) write(path, after);
      return after;
    },
  };
}

function parsed(path: string): Slots | null {
  try {
    const state = JSON.parse(readFileSync(path, "utf8")) as Slots;
    return state.format === 1 ? state : null;
  } catch {
    // Not there, or damaged: the base needs neither.
    return null;
  }
}

function write(path: string, state: Slots): void {
  const dir = join(path, "..");
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const draft = `${path}.new`;
  const file = openSync(draft, "w", 0o600);
  try {
    writeFileSync(file, `${JSON.stringify(state, null, 1)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
  const directory = openSync(dir, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
