/**
 * What a visitor is told when an app cannot answer, as pages (kernel/page.ts). Nothing of the
 * app's inside is told; the incident id, which the page ends with, leads its owner to the log.
 */
import type { Page } from "../page.ts";

/** The app broke or did not answer in time. */
export function brokenApp(status: 502 | 504, incident: string): Page {
  const late = status === 504;
  return {
    status,
    code: late ? "ETIMEDOUT" : "EIO",
    title: late ? "The app took too long" : "The app broke",
    text: late
      ? "It did not answer in time. Try again in a moment."
      : "Something went wrong while it answered. Try again in a moment.",
    hint: `the log has incident ${incident}`,
  };
}

/** The app is not running, and this request will not start it; null: nobody knows when it does. */
export function absentApp(startsInMs: number | null): Page {
  const starts = startsInMs !== null;
  return {
    status: 503,
    code: "EAGAIN",
    title: "The app is not running",
    text: starts ? "It is starting; try again in a moment." : "It is down at the moment.",
    headers: starts ? { "retry-after": String(Math.ceil(startsInMs / 1000)) } : {},
  };
}
