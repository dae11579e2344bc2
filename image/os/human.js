// @ts-check
/** Figures as people read them: bytes, durations, points in time. Pure. */

const units = ["B", "KB", "MB", "GB", "TB"];

/** 1536 → `1.5 KB`; powers of 1024. @param {number} value */
export function bytes(value) {
  if (value <= 0) return "0 B";
  const power = Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const amount = value / 1024 ** power;
  return `${amount >= 100 || power === 0 ? Math.round(amount) : amount.toFixed(1).replace(/\.0$/, "")} ${units[power]}`;
}

/** How long, in its two largest units: `3 d 4 h`. @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/** How long ago, loosely. @param {number} at Unix ms @param {number} now Unix ms */
export function ago(at, now) {
  const ms = now - at;
  if (ms < 60_000) return "just now";
  return `${duration(ms).replace(/ \d+ (h|min)$/, "")} ago`;
}

/**
 * How the replica stands, and how the last restore that was tried out went.
 * @param {{ state: string, lastDrill: { at: number, ok: boolean } | null }} replica
 * @param {number} now Unix ms
 */
export function replicaText({ state, lastDrill }, now) {
  if (state === "off") return "none";
  if (lastDrill === null) return `${state}, not tried out yet`;
  const { at, ok } = lastDrill;
  return ok ? `${state}, restore tried ${ago(at, now)}` : `restore FAILED ${ago(at, now)}`;
}

/** Thousands apart. @param {number} value */
export function count(value) {
  return value.toLocaleString("en").replaceAll(",", "\u202f");
}

/**
 * A log line for the eye: a line of the access log is JSON, and shown as a sentence.
 * @param {{ app: string, level: string, text: string }} line
 * @returns {{ kind: "access" | "info" | "warn" | "error", text: string }}
 */
export function logLine({ app, level, text }) {
  const kind = level === "error" || level === "warn" ? level : "info";
  if (app !== "access") return { kind, text: kind === "info" ? text : `${kind}: ${text}` };
  const shown = kind === "info" ? "access" : kind;
  try {
    const { method, path, status, ms, n } = JSON.parse(text);
    const times = n === undefined ? "" : ` × ${n}`;
    if (method === undefined)
      return { kind: shown, text: `${status}${times}, not listed one by one` };
    return { kind: shown, text: `${method} ${path} → ${status}, ${ms} ms${times}` };
  } catch {
    return { kind: shown, text };
  }
}

/** The time of day of a log line. @param {number} at Unix ms */
export function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB");
}
