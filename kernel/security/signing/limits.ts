/**
 * The named limits of apps' tokens and of the keys that sign them: a unit in each name, a reason
 * at each. Nothing here may be raised by a caller.
 */
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Bytes of what a token says, as JSON: with its signature it fits into a cookie of 4 KB. */
export const claimsBytesMax = 2_560;
/** Characters of a token that is looked at. */
export const tokenCharactersMax = 4_096;
export const ttlMsDefault = hourMs;
export const ttlMsMax = 30 * dayMs;
/** A key signs for so long; then the next one is made. */
export const rotateMs = 30 * dayMs;
/** A key is kept as long as anything it signed may be valid. */
export const keptMs = rotateMs + ttlMsMax;
