/**
 * The bounds of an upgrade: what is read of a stranger, and how long each step may take.
 */

/** Bytes of a manifest, and of its signature: a page of text each. */
export const manifestBytesMax = 64 * 1024;
/** Artifacts of one release: a binary and what an operating system is made of. */
export const artifactsMax = 16;
/** Bytes of one artifact, packed or not: a root slot, with room. */
export const artifactBytesMax = 2 * 1024 * 1024 * 1024;

/** Milliseconds until it is tried again to write down what became of an attempt: the disk was full. */
export const tellAgainMs = 2_000;
/** Milliseconds a source may be silent before it is asked again. */
export const sourceSilenceMsMax = 30_000;
/** Answers in a row that lead elsewhere: a mirror behind a name behind another. */
export const redirectsMax = 5;
/** Times a broken download is continued where it stopped. */
export const continuesMax = 8;
/** Milliseconds before the first of these; each later one waits twice as long. */
export const continueAfterMs = 500;

/** Attempts kept of what was tried: a year of weekly ones. */
export const historyMax = 60;
/** Starts of a slot that did not come to rest after which the other one is taken. */
export const startsMax = 3;
/** Milliseconds a kernel must have run before its slot counts as come to rest. */
export const restMs = 60_000;

/** Milliseconds a trial lasts: the usual, and the least that can be asked for. */
export const trialMs = 60_000;
export const trialMsMin = 5_000;
/** Milliseconds between two looks at a program on trial. */
export const lookMs = 500;
/** Looks in a row that must find the same kind of fault before it counts. */
export const faultsMin = 3;
/** Milliseconds a program on trial may say nothing before it counts as hanging. */
export const silenceMsMax = 4_000;
/** Share of failed requests above what it was before that is a fault: 1 %. */
export const errorShareMargin = 0.01;
/** Times as slow as before, at its slowest 1 %, that is a fault; nothing below the margin counts. */
export const latencyFactorMax = 4;
export const latencyMarginMs = 100;
/** Memory beyond that of before times this and the margin is a fault. */
export const memoryFactorMax = 2;
export const memoryMarginBytes = 128 * 1024 * 1024;
