/**
 * system: the operating system below fazt, in two slots: a root partition each, a kernel and an
 * initrd on the boot partition, and the boot loader's state that says which one starts.
 *
 *     await system.upgrade({ from, consent });   // begun; it goes on by itself, over a restart
 *
 * Where to read: `boot-state.ts` is what the boot loader reads, `slot.ts` what a slot holds,
 * `attempt.ts` what was tried; `settle.ts`, `gate.ts` and `reason.ts` decide, `system.ts` performs.
 *
 * Invariants
 * 1. The running slot is never written; the boot loader is told last.
 * 2. Nothing on trial: the boot loader writes nothing, so power cuts change nothing.
 * 3. Whatever is wrong with a new system, the one before runs again by itself and says why.
 * It never downloads and never verifies signatures: what comes here was verified.
 */
export { type Attempt, openAttempts } from "./attempt.ts";
export { type BootPartition, readBootState, setBootState } from "./boot-partition.ts";
export type { Slot } from "./boot-state.ts";
export { applianceSystem, type SystemHost } from "./host.ts";
export { type LookOptions, lookAt, lookAtDatabase } from "./look.ts";
export type { Remains } from "./reason.ts";
export { keysOf } from "./release.ts";
export { type Marker, markerText, type SystemPart, type SystemRelease } from "./slot.ts";
export {
  createSystem,
  giveUp,
  notePhase,
  type SlotStatus,
  type System,
  settleBoot,
} from "./system.ts";
