/**
 * The first thing a kernel's process does: finds out which program it is to be, and becomes it.
 *
 * Only an executable has slots; a checkout is what it is. `FAZT_SLOT` says to a program that it was
 * chosen, `FAZT_BASE` where the one is that chose.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import {
  openSlots,
  programPath,
  type SlotStore,
  slots,
  slotsDir,
} from "../../kernel/proc/upgrade/mod.ts";
import { launcher } from "../launcher.ts";
import { version } from "../version.ts";
import { become } from "./exec.ts";

/** Whether this program is one file that can be replaced by another. */
export const isExecutable = (): boolean => launcher().reads.length === 0;

/** The program that was installed, and that chooses at every start. */
export const basePath = (): string => process.env["FAZT_BASE"] ?? process.execPath;

/** The place this program is in. */
export function ownPlace(): slots.Place {
  const named = process.env["FAZT_SLOT"];
  return named === "a" || named === "b" ? named : "base";
}

/** What a machine's store has for its base when it is new. */
export function slotStore(dataDir: string): SlotStore {
  const { size } = statSync(basePath());
  return openSlots(dataDir, { version, sizeBytes: size });
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

/**
 * The place to run at a start. What cannot be written down (a disk that is full) costs a count of
 * starts and no start: the program that runs is the one that lets its owner make room.
 */
export function chosenAt(store: SlotStore, at: slots.Start): slots.Place {
  const chosen: { place: slots.Place } = { place: "base" };
  try {
    store.change((state) => {
      const { start, ...next } = slots.starting(state, at);
      chosen.place = start;
      return next;
    });
  } catch (error) {
    process.stderr.write(`cannot note this start: ${(error as Error).message}\n`);
  }
  return chosen.place;
}

/** Becomes the program of the active slot; returns when this one is to run. */
export function becomeActive(dataDir: string): void {
  if (process.env["FAZT_SLOT"] !== undefined || !isExecutable()) return;
  if (!existsSync(slotsDir(dataDir))) return;
  const store = slotStore(dataDir);
  const base = { version, sizeBytes: statSync(process.execPath).size };
  const at = Date.now();
  const place = chosenAt(store, { at, base, bootId: bootId() });
  if (place === "base") return;
  const env = { ...process.env, FAZT_SLOT: place, FAZT_BASE: process.execPath };
  become(programPath(dataDir, place), process.argv.slice(2), env);
  const reason = "its program cannot be run";
  store.change((state) => slots.withdraw(state, { at, reason, block: true }));
}
