/**
 * channel: the owner's side of upgrades. Where releases come from and which are wanted, the look for
 * newer ones, whether one is installed by itself and when, releases that are sent here, and one way
 * for both that are upgraded: the program, and the operating system below it.
 *
 * Where to read: `setting.ts` is what the owner chose, `plan.ts` decides when something is done,
 * `way.ts` which of the two a release goes to and how both are told, `upload.ts` takes files.
 *
 * Invariants
 * 1. Nothing is installed by itself unless it was asked for, and then in its window only.
 * 2. What is sent here is bounded by the manifest that was verified first.
 * 3. One thing is upgraded at a time, the program or the system.
 * It never verifies or writes a slot itself: `proc/upgrade` and `proc/system` do.
 */
export { type Channel, type ChannelOptions, createChannel } from "./channel.ts";
export { migrations } from "./schema.ts";
export type { Tried } from "./way.ts";
