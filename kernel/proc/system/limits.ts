/**
 * The bounds of an upgrade of the operating system.
 */

/** Starts a slot on trial gets: one, and one more for a power cut in the middle of the first. */
export const triesMax = 2;
/** Milliseconds a trial may take from the kernel's first target until it is kept or given up. */
export const gateMsMax = 300_000;
/** Milliseconds everything must have been as before without a break before a trial is kept. */
export const steadyMs = 10_000;
/** Milliseconds between two looks at the machine while it is on trial. */
export const lookEveryMs = 2_000;
/** Milliseconds from the answer to whoever asked for a restart to the restart. */
export const answerMs = 500;
/** Apps that are asked whether they answer; those that run first. */
export const askedAppsMax = 20;
/** Milliseconds an app may take to answer that question; its own start is in it. */
export const appAnswerMsMax = 60_000;
/** Attempts that are remembered: a year of weekly ones. */
export const attemptsMax = 60;
/** Lines of a failed start's journal that are kept with it. */
export const lastLinesMax = 12;
/** Bytes of the boot partition that stay free beside a slot's kernel and initrd. */
export const bootSpareBytes = 1024 * 1024;
/** Bytes that are copied and hashed at once. */
export const pieceBytes = 1024 * 1024;
