/**
 * The marks of the machine's modes: at which share, rate or size each begins, and how much better
 * it must have become before it ends. Shares are of what there is in all.
 */

/** Milliseconds between two looks at the machine. */
export const lookMs = 2_000;

/** Share of memory still to be had below which caches are dropped: 10 %. */
export const memoryDegradedShare = 0.1;
/** Share below which only the cockpit answers, apps sleeping: 4 %. */
export const memoryCockpitShare = 0.04;
/** Share below which, apps asleep, the kernel ends in order to be started afresh: 1.5 %. */
export const memoryEmergencyShare = 0.015;
/** How much more than its mark must be free before a mode ends. */
export const memoryBackShare = 0.03;

/** Percent of the last 10 s in which everything waited for memory (PSI full): caches go. */
export const stallDegradedPercent = 10;
/** Percent at which only the cockpit answers. */
export const stallCockpitPercent = 40;
/** Percent that it must fall below its mark before a mode ends. */
export const stallBackPercent = 5;

/** Bytes of memory the kernel holds alone above which its caches are dropped: half of 1 GB. */
export const kernelDegradedBytes = 512 * 1024 * 1024;
/** Bytes it must fall below that. */
export const kernelBackBytes = 64 * 1024 * 1024;

/** Milliseconds things must have been better before a mode ends: one wave is not the tide. */
export const settleMs = 10_000;
/** Milliseconds `cockpit-only` must have lasted before `emergency`: apps need time to end. */
export const emergencyAfterMs = 20_000;
