/**
 * Limits of certificates; each with its unit and its reason.
 */

/** How long a self-signed certificate is good for, in ms: with its first day, 825, what clients take. */
export const selfLifeMs = 824 * 86_400_000;

/** A self-signed certificate is made anew when it has less than this left, in ms. */
export const selfRenewMs = 30 * 86_400_000;

/** It begins this long before it is made, in ms: clients' clocks are late. */
export const clockSlackMs = 86_400_000;

/** How long a browser that was answered over HTTPS asks for nothing else, in seconds: one year. */
export const hstsS = 31_536_000;

/** A failure that may pass by itself is tried again after this, doubled each time, in ms. */
export const transientMsFirst = 2_000;

/** So often in one state; then the order is given up and begun anew. */
export const transientTriesMax = 8;

/** An order that failed is begun anew after this, doubled each time, in ms. */
export const failureMsFirst = 60_000;

/** The longest wait between orders that fail, in ms. */
export const failureMsMax = 12 * 3_600_000;

/** An authority is asked how an order stands after this, doubled each time, in ms. */
export const pollMsFirst = 250;

/** The longest wait between two such questions, in ms. */
export const pollMsMax = 10_000;

/** Orders under way at once: authorities count them by account. */
export const ordersAtOnce = 8;

/** Renewal begins at this part of a certificate's life, as the issue of most authorities wants. */
export const renewAtPart = 2 / 3;

/** And up to this part of its life earlier, by chance, so that hosts do not come all at once. */
export const renewJitterPart = 0.02;

/** How often an authority is asked when it wants a renewal (RFC 9773), in ms, unless it says. */
export const ariEveryMs = 6 * 3_600_000;

/** And after a start, in ms: a machine that never runs for so long asks too. */
export const ariFirstMs = 10 * 60_000;

/** The longest an answer of an authority or of a DNS provider may take, in ms. */
export const remoteMsMax = 30_000;

/** How long a record may take to be seen at its name servers, in ms; then it is tried anyway. */
export const propagationMsMax = 120_000;

/** How often it is looked for, in ms. */
export const propagationEveryMs = 2_000;

/** Orders of the account that are looked through for one that was lost at a crash. */
export const ordersLookedAt = 200;

/** How often DNS is asked whether the other spelling of a host leads here, in ms. */
export const siblingEveryMs = 10 * 60_000;

/** The longest one such question may take, in ms. */
export const siblingLookMsMax = 3_000;
