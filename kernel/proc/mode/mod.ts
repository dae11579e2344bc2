/**
 * mode: how much of itself the machine can hold. Survival over service: it gives up caches before
 * writes, writes before apps, apps before its owner's cockpit, and that only to come up again.
 *
 *     normal → degraded → read-only → cockpit-only → emergency, and back by itself
 *
 * Invariants
 * 1. What the mode is, is decided by a pure function of what was measured (`mode.ts`).
 * 2. It gets worse at once and better only after it has been better for a while.
 * 3. Every change is in the kernel's log with its reason.
 * It never stops what the owner needs to make room: removals, gc, login, and the shell's page.
 */
export * as limits from "./limits.ts";
export { measure } from "./measure.ts";
export { type Measures, type Mode, modes } from "./mode.ts";
export { createModes, type ModeActions, type Modes } from "./watch.ts";
