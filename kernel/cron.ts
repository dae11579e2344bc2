/**
 * Cron schedules: five fields as in crontab(5), in a time zone, and the next time they mean.
 *
 *     nextRun(readCron("30 2 * * mon-fri"), { afterMs: Date.now(), zone: "Europe/Berlin" })
 *
 * Rules: a time that the clocks skip in spring is met as much later as they were put forward; one
 * that comes twice in autumn is met once, unless the hour is `*`, when it is met each time. When
 * both day fields are restricted, either one is enough (crontab(5)).
 */
import { SysError } from "./errno.ts";

/** A schedule as sets of what each field allows. */
export interface Cron {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** Whether either day field is enough. */
  readonly eitherDay: boolean;
  /** Whether it runs every hour, and so also in one that comes twice. */
  readonly everyHour: boolean;
}

interface Field {
  readonly name: string;
  readonly low: number;
  readonly high: number;
  readonly words: readonly string[];
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const fields: readonly Field[] = [
  { name: "minute", low: 0, high: 59, words: [] },
  { name: "hour", low: 0, high: 23, words: [] },
  { name: "day", low: 1, high: 31, words: [] },
  { name: "month", low: 1, high: 12, words: ["", ...months] },
  { name: "weekday", low: 0, high: 7, words: weekdays },
];

const shorthand: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@hourly": "0 * * * *",
};

const dayMs = 86_400_000;
const minuteMs = 60_000;
/** A leap day that falls on a given weekday comes within 28 years, over 2100 within 40. */
const daysMax = 40 * 366;

function refused(schedule: string, state: string): SysError {
  const message = `cannot read the schedule ${JSON.stringify(schedule.slice(0, 100))}: ${state}`;
  return new SysError("EINVAL", message, { hint: 'write five fields, such as "30 2 * * *"' });
}

/** A schedule made sense of. EINVAL names the field. */
export function readCron(schedule: string): Cron {
  const said = schedule.trim().toLowerCase();
  const text = (Object.hasOwn(shorthand, said) ? shorthand[said] : null) ?? said;
  const words = text.split(/\s+/);
  if (words.length !== 5) throw refused(schedule, `${words.length} fields instead of five`);
  const sets = fields.map((field, at) => readField(words[at] ?? "", field, schedule));
  const [minutes, hours, days, inMonths, onWeekdays] = sets.map((set) => set ?? new Set<number>());
  const sorted = (set: Set<number> | undefined) => [...(set ?? [])].sort((a, b) => a - b);
  const weekdaySet = new Set([...(onWeekdays ?? [])].map((day) => day % 7));
  return {
    minutes: sorted(minutes),
    hours: sorted(hours),
    days: days ?? new Set(),
    months: inMonths ?? new Set(),
    weekdays: weekdaySet,
    eitherDay: !words[2]?.startsWith("*") && !words[4]?.startsWith("*"),
    everyHour: hours?.size === 24,
  };
}

function readField(text: string, field: Field, schedule: string): Set<number> {
  const found = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^(\*|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:\/([0-9]+))?$/.exec(part);
    if (match === null) throw refused(schedule, `${field.name} ${JSON.stringify(part)}`);
    const [, whole, first = "", last, by] = match;
    const from = whole === "*" ? field.low : number(first, field, schedule);
    const open = whole === "*" || (last === undefined && by !== undefined);
    const to = open ? field.high : number(last ?? first, field, schedule);
    const step = Number(by ?? 1);
    if (step < 1 || from > to) throw refused(schedule, `${field.name} ${JSON.stringify(part)}`);
    for (let value = from; value <= to; value += step) found.add(value);
  }
  return found;
}

function number(text: string, field: Field, schedule: string): number {
  const word = text === "" ? -1 : field.words.indexOf(text);
  const value = word >= 0 ? word : /^[0-9]{1,2}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= field.low && value <= field.high) return value;
  throw refused(schedule, `${field.name} ${JSON.stringify(text)}`);
}

/** Whether this host knows a time zone by this name (IANA). */
export function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }) !== null;
  } catch {
    // RangeError: that is the answer.
    return false;
  }
}

/** The first time after `afterMs` that the schedule means (Unix ms), or null: it never comes. */
export function nextRun(cron: Cron, at: { afterMs: number; zone: string }): number | null {
  const offset = offsets(at.zone);
  const { afterMs } = at;
  // A day early: clocks put back over midnight bring a part of it again.
  const first = Math.floor((afterMs + offset(afterMs)) / dayMs) - 1;
  for (let day = first; day < first + daysMax; day++) {
    if (!onDay(cron, day * dayMs)) continue;
    const found = firstOfDay(cron, { dayMs: day * dayMs, afterMs, offset });
    if (found !== null) return found;
  }
  return null;
}

function onDay(cron: Cron, midnight: number): boolean {
  const date = new Date(midnight);
  if (!cron.months.has(date.getUTCMonth() + 1)) return false;
  const day = cron.days.has(date.getUTCDate());
  const weekday = cron.weekdays.has(date.getUTCDay());
  return cron.eitherDay ? day || weekday : day && weekday;
}

interface Day {
  /** Local midnight as if it were UTC. */
  readonly dayMs: number;
  readonly afterMs: number;
  readonly offset: Offset;
}

function firstOfDay(cron: Cron, day: Day): number | null {
  const { offset, afterMs } = day;
  const before = offset(day.dayMs - dayMs);
  const even = before === offset(day.dayMs + 2 * dayMs);
  let least: number | null = null;
  for (const hour of cron.hours) {
    for (const minute of cron.minutes) {
      const wall = day.dayMs + (hour * 60 + minute) * minuteMs;
      const times = even ? [wall - before] : instants(wall, { before, offset, cron });
      for (const time of times) if (time > afterMs && time < (least ?? Infinity)) least = time;
      // Later wall times are later instants where the clocks stay as they are.
      if (even && least !== null) return least;
    }
  }
  return least;
}

/** When a wall clock shows this, on a day around which it is changed. */
function instants(
  wall: number,
  at: { before: number; offset: Offset; cron: Cron },
): readonly number[] {
  const { before, offset } = at;
  const after = offset(wall + dayMs);
  const both = [...new Set([wall - before, wall - after])];
  const real = both.filter((time) => time + offset(time) === wall).sort((a, b) => a - b);
  if (real.length === 0) return [wall - before];
  return at.cron.everyHour ? real : real.slice(0, 1);
}

/** How far local time is ahead of UTC at a time, milliseconds. */
type Offset = (time: number) => number;

function offsets(zone: string): Offset {
  if (zone === "UTC") return () => 0;
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    ...{ year: "numeric", month: "numeric", day: "numeric" },
    ...{ hour: "numeric", minute: "numeric", second: "numeric" },
  });
  return (time) => {
    const part: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(time)) part[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    const wall = Date.UTC(year, month - 1, day, hour, minute, second);
    return wall - Math.floor(time / 1000) * 1000;
  };
}
