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

/** Becomes the program of the active slot; returns when this one is to run. */
export function becomeActive(dataDir: string): void {
  if (process.env["FAZT_SLOT"] !== undefined || !isExecutable()) return;
  if (!existsSync(slotsDir(dataDir))) return;
  const store = slotStore(dataDir);
  const base = { version, sizeBytes: statSync(process.execPath).size };
  const at = Date.now();
  let start: slots.Place = "base";
  store.change((state) => {
    const { start: place, ...next } = slots.starting(state, { at, base, bootId: bootId() });
    start = place;
    return next;
  });
  // Assigned in the change above, which the compiler does not follow.
  const place = start as slots.Place;
  if (place === "base") return;
  const env = { ...process.env, FAZT_SLOT: place, FAZT_BASE: process.execPath };
  become(programPath(dataDir, place), process.argv.slice(2), env);
  const reason = "its program cannot be run";
  store.change((state) => slots.withdraw(state, { at, reason, block: true }));
}
