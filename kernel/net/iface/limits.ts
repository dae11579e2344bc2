/**
 * The named limits of the machine's own network: a unit in each name, a reason at each.
 */

/** Milliseconds a change waits for its confirmation; then what was before comes back. */
export const trialMs = 30_000;

/** Milliseconds one command of the system (reload, nft) may take before it counts as failed. */
export const commandMsMax = 15_000;

/** Interfaces with settings of their own. */
export const linksMax = 32;

/** Addresses of one interface beyond those it is given. */
export const addressesMax = 16;

/** Name servers of one interface; resolvers ask the first few only. */
export const serversMax = 8;

/** Smallest packet in bytes that IPv6 works with (RFC 8200, 5). */
export const mtuBytesMin = 1280;

/** Largest packet in bytes that Ethernet cards do. */
export const mtuBytesMax = 9216;
