/**
 * event: what happens without a request. Events between apps, cron, one-shots. Its calls are in
 * the table under `proc`.
 *
 *     await events.emit(caller, { name: "post.created", payload: { id: 7 } });
 *
 * Where to read: `journal.ts` puts events down, `subscription.ts` knows who hears them,
 * `courier.ts` delivers, `timetable.ts` is cron, `oneshot.ts` what apps schedule; `request.ts` is
 * how they ask an app.
 *
 * Invariants
 * 1. What was accepted is in the database, and is done after a restart, at least once.
 * 2. Who emits is the caller's channel; a request made here carries marks no client can set.
 * 3. An app that is slow, down or gone holds up its own work and nobody else's.
 * It never starts a process itself: it asks proc, which wakes who sleeps.
 */
export { createEvents, type EventsOptions } from "./create.ts";
export type { EventInfo, Events, JobInfo, OneShot } from "./event.ts";
export { migrations } from "./schema.ts";
export { namePattern, onPattern } from "./subscription.ts";
