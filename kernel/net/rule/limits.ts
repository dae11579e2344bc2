/**
 * Limits of rules; each with its unit and its reason.
 */

/** Redirects of the machine: as many as there may be routes. */
export const redirectsMax = 10_000;

/** A host name, in characters (RFC 1035, 2.3.4). */
export const hostCharsMax = 253;
