/**
 * Backups: everything of a machine in one file, and back. `format.ts` is the file, `copy.ts` pins
 * databases that are in use, `child.ts` is the process that writes, `run.ts` the kernel's side of
 * it, `seal.ts` age, `duplicate.ts` a copy of one volume, `restore.ts` the way back,
 * `apart.ts` and `child-check.ts` the sandboxed look at what came back (docs/decisions/0007).
 */
export { type EncloseCheck, lookApart } from "./apart.ts";
export { hold } from "./copy.ts";
export { createDuplicate, type Duplicate, type VolumeCopy } from "./duplicate.ts";
export type { BackupHeader } from "./format.ts";
export {
  finishRestore,
  type Restored,
  replaceData,
  replaceDataAtNextOpen,
  restoreBackup,
  verifyBackup,
  writeMachineKey,
} from "./restore.ts";
export { type BackupOptions, createBackups } from "./run.ts";
