/**
 * What is to be done by itself now: a look for a release, an installation, or nothing. Pure.
 *
 * Rules: every machine waits a part of its own, so that releases are not asked for by all at once;
 * an installation begins in the window only, once a window, and never one that does not suit.
 */
import { againMs, checkMs, soonMs, spreadMinutesMax } from "./limits.ts";
import type { Course, Setting } from "./setting.ts";

export type Due = "check" | "install" | null;

/** When a machine decides. */
export interface Moment {
  /** Unix ms. */
  readonly now: number;
  /** Version that runs. */
  readonly running: string;
  /** This machine's own part of every wait, in [0, 1). */
  readonly part: number;
}

const minutesOfDay = 24 * 60;

/** The two ends of a window, minutes since midnight. */
export function windowOf(window: string): { readonly begin: number; readonly minutes: number } {
  const [begin = 0, end = 0] = window.split("-").map((time) => {
    const [hours = 0, minutes = 0] = time.split(":").map(Number);
    return hours * 60 + minutes;
  });
  return { begin, minutes: (end - begin + minutesOfDay) % minutesOfDay || minutesOfDay };
}

/** The time of day in a zone, minutes since midnight. */
function minuteOf(now: number, zone: string): number {
  const clock = new Intl.DateTimeFormat("en-GB", {
    ...{ timeZone: zone, hourCycle: "h23", hour: "2-digit", minute: "2-digit" },
  });
  const [hours = 0, minutes = 0] = clock.format(now).split(":").map(Number);
  return hours * 60 + minutes;
}

/** Whether this machine's time in the window has come, and the window has not ended. */
export function windowIsOpen(
  { window, zone }: Pick<Setting, "window" | "zone">,
  { now, part }: Pick<Moment, "now" | "part">,
): boolean {
  const { begin, minutes } = windowOf(window);
  const since = (minuteOf(now, zone) - begin + minutesOfDay) % minutesOfDay;
  const own = Math.floor(part * Math.min(spreadMinutesMax, minutes / 2));
  return since >= own && since < minutes;
}

/** What is due. */
export function dueOf(state: Setting & Course, moment: Moment): Due {
  const { from, checks, automatic, nextAt, found, begunAt } = state;
  const { now, running } = moment;
  if (from === null) return null;
  if (checks && nextAt !== null && now >= nextAt) return "check";
  const wanted = automatic && found?.suits === true && found.version !== running;
  if (!wanted || (begunAt !== null && now - begunAt < againMs)) return null;
  return windowIsOpen(state, moment) ? "install" : null;
}

/** When the next look is, Unix ms, after one that went well or not; `chance` is in [0, 1). */
export function nextCheckAt(now: number, wentWell: boolean, chance: number): number {
  const span = wentWell ? checkMs * (0.75 + 0.5 * chance) : soonMs * (0.5 + 0.5 * chance);
  return Math.round(now + span);
}
