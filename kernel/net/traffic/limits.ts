/**
 * Limits of traffic; each with its unit and its reason.
 */

/** Hosts that are counted by themselves; the rest together: wildcards let clients choose names. */
export const routesCountedMax = 2000;

/** Clients that `net top` shows. */
export const topClientsMax = 10;

/** Milliseconds after which clients' hashes in the log are others: nobody is followed for longer. */
export const saltMs = 86_400_000;
