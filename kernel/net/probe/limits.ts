/**
 * The named limits of probes: a unit in each name, a reason at each.
 */
/** As patient as a person at a terminal; a round trip to a satellite is 700 ms. */
export const echoWaitMs = 2000;
export const echoEveryMs = 1000;
/** An hour of echoes; a person ends it before. */
export const echoesMax = 3600;
/** How often the socket is looked at: the precision of what is measured. */
export const echoLookMs = 1;
export const nameWaitMs = 3000;
export const requestWaitMs = 15_000;
/** As many as browsers follow is more than anybody means; a loop shows in five. */
export const hopsMax = 5;
/** Read to measure the transfer, and no more. */
export const bodyBytesMax = 10 * 1024 * 1024;
