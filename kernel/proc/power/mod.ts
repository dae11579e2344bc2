/**
 * power: the machine itself, beside the kernel that runs on it: restarting it, switching it off, the
 * chart of its boot, and forgetting everything. Its calls are in the table under `proc`.
 *
 * Invariants
 * 1. Only the appliance is ours to restart and switch off; elsewhere the answer is ENOSYS.
 * 2. Everything is erased only by who is at the machine and has typed the words.
 * It never ends a process itself: systemd does, and gives the kernel time to end its apps.
 */
export { appliancePower, type PowerHost } from "./host.ts";
export { createPower, type Power } from "./power.ts";
