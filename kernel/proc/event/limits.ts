/**
 * The named limits of event: what one app may emit, keep waiting and have under way, and how often
 * and how long anything is tried again.
 */

/** Bytes of an event's payload, or of a one-shot's, as JSON in UTF-8. */
export const payloadBytesMax = 65_536;
/** Events an app may emit a second, and at once. */
export const emitsPerSecond = 100;
/** How long events, and work that was given up, are kept. */
export const keepMs = 7 * 86_400_000;
/** Events of one emitter that are kept; above it those nobody waits for go first. */
export const keptEventsMax = 10_000;
/** Bytes of payloads of one emitter that are kept. */
export const keptBytesMax = 16 * 1024 * 1024;
/** Events removed at once to make room. */
export const trimEvents = 500;
/** Patterns one app may subscribe to. */
export const subscriptionsMax = 100;
/** Deliveries that may wait for one subscriber; further ones are dropped and logged. */
export const waitingMax = 10_000;
/** One-shots one app may have set. */
export const oneShotsMax = 1_000;
/** How far ahead a one-shot may be. */
export const aheadMsMax = 366 * 86_400_000;
/** Waits before the first, second and third retry; then work is given up. */
export const retryWaitsMs: readonly number[] = [1_000, 10_000, 60_000];
/** A wait is drawn from this share below to this share above its nominal length. */
export const retryJitter = 0.2;
/** Deliveries under way to one app, and to all apps together. */
export const perAppMax = 8;
export const underWayMax = 64;
/** Cron runs under way at once: all apps' hourly jobs come at the same time. */
export const cronUnderWayMax = 8;
/** How long an app that is down is left alone before it is tried again. */
export const downMs = 60_000;
/** A cron run later than this was missed: the machine was off, or asleep. */
export const missedAfterMs = 60_000;
/** The longest a timer sleeps, so that a clock that is set is noticed. */
export const longestSleepMs = 60_000;
/** Between two sweeps of what is older than `keepMs`. */
export const sweepMs = 600_000;
/** Rows one sweep removes in one transaction. */
export const sweepRowsMax = 1_000;
/** How long after boot the timetable is compared with the manifests. */
export const compareAfterMs = 2_000;
