/**
 * Numbers for people, by the unit that a field's name ends in: bytes, milliseconds, Unix times.
 * Pure; the time zone is the process's.
 */

import { UsageError } from "./usage.ts";

const steps = ["B", "KB", "MB", "GB", "TB", "PB"];

/** Bytes, in powers of 1024 with the short names everybody reads: `1.4 MB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let step = 0;
  while (Math.abs(value) >= 1023.5 && step < steps.length - 1) {
    value /= 1024;
    step++;
  }
  const digits = step === 0 || Math.abs(value) >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${steps[step]}`;
}

const spans: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
];

/** A duration by its two largest units: `3h 12m`; below ten seconds in decimals. */
export function durationText(ms: number): string {
  if (ms < 0) return `-${durationText(-ms)}`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  // Rounded to seconds first, so that no part ever reaches its next unit.
  let left = Math.round(ms / 1000) * 1000;
  const parts: string[] = [];
  for (const [unit, size] of spans) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0 || parts.length > 0) parts.push(count === 0 ? "" : `${count}${unit}`);
    if (parts.length === 2) break;
  }
  return parts.filter((part) => part !== "").join(" ");
}

const sizes = new Map<string, number>([...spans, ["ms", 1]]);

/** Milliseconds of a span such as 500ms, 30s, 15m, 1h. UsageError naming the flag. */
export function spanMs(span: string, flag: string): number {
  const [, count, unit = ""] = /^([1-9]\d{0,8})(ms|s|m|h|d)$/.exec(span) ?? [];
  const size = sizes.get(unit);
  if (count !== undefined && size !== undefined) return Number(count) * size;
  throw new UsageError(`cannot read ${flag} "${span}"`, "give a span such as 30s, 15m or 1h");
}

const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const two = (value: number): string => String(value).padStart(2, "0");

/** A Unix time in ms, short and local: today only the time, this year without the year. */
export function timeText(at: number, now: number): string {
  const [then, today] = [new Date(at), new Date(now)];
  const clock = `${two(then.getHours())}:${two(then.getMinutes())}`;
  if (then.toDateString() === today.toDateString()) return `${clock}:${two(then.getSeconds())}`;
  const day = `${String(then.getDate()).padStart(2)} ${months[then.getMonth()]}`;
  return then.getFullYear() === today.getFullYear()
    ? `${day} ${clock}`
    : `${day} ${then.getFullYear()}`;
}

export type Unit = "bytes" | "ms" | "at" | "mode" | null;

/** The unit a field's name carries (contract: units last). */
export function unitOf(field: string): Unit {
  if (/(^|[a-z])Bytes$|^bytes$/.test(field)) return "bytes";
  if (/(^|[a-z])Ms$|^ms$/.test(field)) return "ms";
  if (/[a-z](At|Until|Since)$|^(at|until|since)$/.test(field)) return "at";
  return field === "mode" ? "mode" : null;
}

/** A number of a field as text. */
export function numberText(field: string, value: number, now: number): string {
  const unit = unitOf(field);
  if (unit === "bytes") return bytesText(value);
  if (unit === "ms") return durationText(value);
  // 0 is "never": nothing of ours is that old.
  if (unit === "at") return value === 0 ? "-" : timeText(value, now);
  return unit === "mode" ? value.toString(8).padStart(4, "0") : String(value);
}

/** A field's name as a heading: `rssBytes` → `rss`, `createdAt` → `created`. */
export function heading(field: string): string {
  if (field === "ms") return "took";
  const bare = field.replace(/(?<=[a-z])(Bytes|Ms|At)$/, "");
  return bare.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
