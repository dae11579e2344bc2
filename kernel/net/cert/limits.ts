/**
 * Limits of certificates; each with its unit and its reason.
 */

/** How long a self-signed certificate is good for, in ms: 825 days, the most some clients take. */
export const selfLifeMs = 825 * 86_400_000;

/** A self-signed certificate is made anew when it has less than this left, in ms. */
export const selfRenewMs = 30 * 86_400_000;

/** It begins this long before it is made, in ms: clients' clocks are late. */
export const clockSlackMs = 86_400_000;
