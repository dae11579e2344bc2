/**
 * The named limits of proc: every queue, window, wait and retry has its bound and reason here.
 * `ProcLimits` are those a test or the owner may change; the constants belong to the protocol.
 */

/** Bytes of one frame's payload beside its heads; a piece of a body is never larger. */
export const pieceBytesMax = 65_536;
/** Bytes of one head (a request's or reply's first line and headers). */
export const headBytesMax = 65_536;
/** Bytes of a whole frame: a head and one piece of body, and their few bytes of framing. */
export const frameBytesMax = headBytesMax + pieceBytesMax + 64;
/** Bytes a sender may have under way in one direction of one stream before the reader asks on. */
export const windowBytes = 262_144;
/**
 * Bytes of all bodies from apps in one turn while others are served too, and its length, in
 * milliseconds: 128 MB/s, which leaves most of the kernel's thread to them.
 */
export const turnBytes = 131_072;
export const turnMs = 1;
/** How long somebody counts as served after a request for them, milliseconds. */
export const othersMs = 100;
/** Bytes waiting for the socket above which bodies pause. */
export const backlogBytesMax = 262_144;
/**
 * Bytes of answers waiting for an app that does not read, above which it is ended: more than those
 * of all its calls at once and the heads of all requests can be while it is merely busy.
 */
export const unreadBytesMax = 50_331_648;

/**
 * Streams the kernel has open towards one process at once, idle WebSockets most of them; more
 * requests wait outside. net takes fewer requests than that, and as many WebSockets as its owner says.
 */
export const requestStreamsMax = 16_384;
/** A request's client is watched for leaving only after this long: most are answered before. */
export const followAfterMs = 20;
/** Calls one process may have under way at once; the next is refused with EAGAIN. */
export const callStreamsMax = 256;
/** Bytes of a call's JSON input or of its JSON reply. */
export const jsonBytesMax = 4_194_304;
/** Bytes of all inputs of one process that come in pieces, gathered at once; then EAGAIN. */
export const inputsBytesMax = 16_777_216;
/** Bytes of one WebSocket message. */
export const messageBytesMax = 1_048_576;
/** Bytes of WebSocket messages waiting for an app that does not read; beyond it is closed, 1013. */
export const socketBacklogBytesMax = 4_194_304;
/** Characters of one line of app output; the rest of a longer line becomes further lines. */
export const logLineCharsMax = 8192;
/** Lines of output kept to explain a start that failed. */
export const tailLinesMax = 20;
/** How long before its end a process that served may have printed why it ended, milliseconds. */
export const lastWordsMs = 2_000;

export interface ProcLimits {
  /** From spawn to ready (hello said, health path answered 2xx), milliseconds. */
  readonly startTimeoutMs: number;
  /** From request to the head of its reply, milliseconds; bodies are exempt. */
  readonly responseTimeoutMs: number;
  /** How long an old process may finish its requests, milliseconds. */
  readonly drainTimeoutMs: number;
  /** From "end" to SIGKILL, milliseconds. */
  readonly endTimeoutMs: number;
  /** Requests waiting for one app to start. */
  readonly waitingMax: number;
  /** How often deadlines and idleness are looked at, milliseconds. */
  readonly tickMs: number;
}

export const defaultLimits: ProcLimits = {
  startTimeoutMs: 15_000,
  responseTimeoutMs: 30_000,
  drainTimeoutMs: 30_000,
  endTimeoutMs: 5_000,
  waitingMax: 256,
  tickMs: 250,
};

/** Those of them that the machine's owner may change. */
export const adjustableNames = [
  "startTimeoutMs",
  "responseTimeoutMs",
  "drainTimeoutMs",
  "endTimeoutMs",
  "waitingMax",
] as const satisfies readonly (keyof ProcLimits)[];

/** Crashes within `crashWindowMs` after which an app stays down until told. */
export const crashesMax = 5;
/** The window crashes are counted in; a process that lived this long starts the count again. */
export const crashWindowMs = 60_000;
/** The first wait after a crash, doubled with each further one, milliseconds. */
export const backoffFirstMs = 1_000;
/** The longest wait after a crash, milliseconds. */
export const backoffMaxMs = 60_000;
/** A wait is drawn from this share below to this share above its nominal length. */
export const backoffJitter = 0.2;

/** The share of its memory's limit at which a process hands over to a fresh one. */
export const retireShare = 0.8;
/** The age below which a process is not replaced for its memory: it would need as much again. */
export const retireAgeMs = 60_000;
/** Ticks between two looks at what processes use. */
export const sampleTicks = 8;
/** Bytes of output a second a process may print, and at once; beyond it, it waits. */
export const outputBytesPerSecond = 262_144;
export const outputBurstBytes = 1_048_576;

/**
 * Bytes that each of the three files of a volume with this quota may have: the database is held to
 * the quota by SQLite's own limit, and its log may hold a little more than every page of it.
 */
export function volumeFileBytesMax(quotaBytes: number): number {
  return quotaBytes + Math.ceil(quotaBytes / 8);
}

/**
 * What every app may do without asking: its own files, keys, volume and processes. A release's
 * `permissions` are added only where the owner granted them.
 */
export const appGrants: readonly string[] = [
  "fs:read",
  "fs:write",
  "storage:read",
  "storage:write",
  "proc:self",
  "net:fetch",
  "security:app",
];

const unitBytes = { K: 1024, M: 1_048_576, G: 1_073_741_824 } as const;

/** Bytes of a size such as "128M"; the text has been checked by the schema that read it. */
export function sizeBytes(size: string): number {
  const unit = size.at(-1);
  const factor = unit === "K" || unit === "M" || unit === "G" ? unitBytes[unit] : 1;
  return Number.parseInt(size, 10) * factor;
}

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of a span; the text has been checked by the schema that read it. */
export function durationMs(span: string): number {
  const unit = span.at(-1);
  const factor = unit === "s" || unit === "m" || unit === "h" || unit === "d" ? unitMs[unit] : 1000;
  return Number.parseInt(span, 10) * factor;
}
