/**
 * The bounds of looking for releases, and of what is sent here.
 */

/** Milliseconds between two looks at the clock: short beside any window. */
export const tickMs = 5 * 60_000;
/** Milliseconds between two looks for a release; each waits between 3/4 and 5/4 of it. */
export const checkMs = 86_400_000;
/** Milliseconds until the first look, and after one that failed, at most; half of it at least. */
export const soonMs = 2 * 3_600_000;
/** Milliseconds between two installations that begin by themselves: one a window. */
export const againMs = 20 * 3_600_000;
/** Minutes of a window over which machines begin, so that not all ask at once. */
export const spreadMinutesMax = 60;
/** Characters of a release's signature: four lines of text. */
export const signatureCharsMax = 4_096;
/** Characters of a manifest. */
export const manifestCharsMax = 64 * 1024;
/** Milliseconds that a release which is sent is kept after something of it came last. */
export const sentMsMax = 86_400_000;
