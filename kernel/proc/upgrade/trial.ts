/**
 * Whether a new program may stay: what is seen of it, compared with what was seen of the one before.
 *
 * Pure. A trial ends early only by a fault; what is well is committed when its time is over. A fault
 * of measure (errors, latency, memory) must be seen `faultsMin` times in a row, for one slow second
 * is not the program's; an app that does not answer is asked as often.
 *
 *   running --fault × faultsMin--> revert      running --its time, nothing wrong--> commit
 *   running --no word for silenceMsMax--> revert
 */
import {
  errorShareMargin,
  faultsMin,
  latencyFactorMax,
  latencyMarginMs,
  memoryFactorMax,
  memoryMarginBytes,
  silenceMsMax,
} from "./limits.ts";

/** How a machine is, seen from outside and by its own counts, over the last moments. */
export interface Health {
  /** Whether each app answered, by name. */
  readonly apps: Readonly<Record<string, boolean>>;
  /** Requests of the last moments, and those that ended in a failure of ours (5xx). */
  readonly requests: number;
  readonly errors: number;
  /** Time to the head of the answer that 99 of 100 stay below, ms; null: nothing was asked. */
  readonly p99Ms: number | null;
  /** Memory of the kernel's process, bytes. */
  readonly rssBytes: number;
}

/** What is known of a trial. */
export interface Trial {
  readonly before: Health;
  readonly beganMs: number;
  readonly lastHeardMs: number;
  /** The fault that was seen last, and how often in a row. */
  readonly fault: string | null;
  readonly faults: number;
}

export type Verdict =
  | { readonly kind: "wait" }
  | { readonly kind: "commit" }
  | { readonly kind: "revert"; readonly reason: string };

/** Begins a trial, at a monotonic ms. */
export const beginTrial = (before: Health, nowMs: number): Trial => ({
  before,
  beganMs: nowMs,
  lastHeardMs: nowMs,
  fault: null,
  faults: 0,
});

const mb = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MB`;
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const shareOf = ({ errors, requests }: Health): number => (requests === 0 ? 0 : errors / requests);

/** The fewest requests from which a share of errors, or a latency, is one. */
const requestsMin = 20;

/** What is worse than before, one clause; null: nothing. */
export function faultOf(before: Health, now: Health): string | null {
  for (const [app, answered] of Object.entries(before.apps)) {
    if (answered && now.apps[app] === false) return `app "${app}" answered before and does not now`;
  }
  if (now.requests >= requestsMin && shareOf(now) > shareOf(before) + errorShareMargin) {
    return `${percent(shareOf(now))} of requests failed, before ${percent(shareOf(before))}`;
  }
  const slowest = Math.max(before.p99Ms ?? 0, latencyMarginMs) * latencyFactorMax;
  if (now.requests >= requestsMin && now.p99Ms !== null && now.p99Ms > slowest) {
    const was = before.p99Ms === null ? "" : `, before ${Math.round(before.p99Ms)} ms`;
    return `it is slow: 1 of 100 requests took ${Math.round(now.p99Ms)} ms${was}`;
  }
  const most = before.rssBytes * memoryFactorMax + memoryMarginBytes;
  if (now.rssBytes > most) {
    return `it holds ${mb(now.rssBytes)} of memory, before ${mb(before.rssBytes)}`;
  }
  return null;
}

/** What was seen at a moment; null: it said nothing. */
export function look(trial: Trial, health: Health | null, nowMs: number): Trial {
  if (health === null) return trial;
  const fault = faultOf(trial.before, health);
  const faults = fault === null ? 0 : trial.faults + 1;
  return { ...trial, lastHeardMs: nowMs, fault, faults };
}

/** What follows. `lastsMs`: how long it must have been well. */
export function verdictOf(trial: Trial, nowMs: number, lastsMs: number): Verdict {
  if (trial.fault !== null && trial.faults >= faultsMin) {
    return { kind: "revert", reason: trial.fault };
  }
  const silentMs = nowMs - trial.lastHeardMs;
  if (silentMs >= silenceMsMax) {
    return { kind: "revert", reason: `it said nothing for ${Math.round(silentMs / 1000)} s` };
  }
  const over = nowMs - trial.beganMs >= lastsMs && trial.fault === null;
  return over && silentMs < silenceMsMax / 2 ? { kind: "commit" } : { kind: "wait" };
}
