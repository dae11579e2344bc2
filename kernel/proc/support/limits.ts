/**
 * The bounds of a support bundle: small enough to be read, and to be sent by mail.
 */

/** Lines of the kernel's log, the newest. */
export const logLinesMax = 500;
/** Apps that are told. */
export const appsMax = 200;
/** Upgrades that are told, the newest. */
export const triedMax = 20;
/** Milliseconds that one part may take. */
export const partMsMax = 10_000;
