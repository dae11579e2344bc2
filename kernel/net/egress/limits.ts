/**
 * Limits of what apps send to the internet; each with its unit and its reason.
 */

/** Requests of one app under way at once. */
export const egressInFlightMax = 50;

/** Requests of one app a second, and the most at once after a pause. */
export const egressRatePerS = 50;
export const egressBurst = 200;

/** Bytes one app may send and receive in a day, bodies both ways (resets at 00:00 UTC). */
export const egressDayBytesMax = 10 * 1024 * 1024 * 1024;

/** How long the addresses of a name may take to be found, in milliseconds: three tries of 5 s. */
export const egressNameMsMax = 15_000;

/** How long an answer's head may take to come, in milliseconds. */
export const egressHeadMsMax = 30_000;

/** How long an answer's body may stand still, in milliseconds. */
export const egressStallMsMax = 120_000;

/** Redirects followed (the Fetch standard's own number). */
export const redirectsMax = 20;

/** A body up to this many bytes is kept until the answer, so that a redirect can send it again. */
export const replayBytesMax = 256 * 1024;

/** An answer up to this many bytes may be kept in the cache. */
export const cachedBodyBytesMax = 1024 * 1024;

/** Bytes of answers kept for all apps together. */
export const cacheBytesMax = 16 * 1024 * 1024;

/** Rows of allowed and denied hosts of one app. */
export const grantsMax = 200;

/** Headers of a request, and characters of all of them. */
export const headersMax = 100;
export const headerCharsMax = 32 * 1024;
