/**
 * What came of requests: ids, counters, the latency histogram, and the access log.
 *
 * Rules
 * 1. Every request is in the log: as a line of its own, or in the `n` of a line that stands for
 *    several answers alike (same file, method and status within one period of 500 ms).
 * 2. A line is JSON without the query or any header, which may hold secrets; of the client it says
 *    what the owner wants it to, by default nothing.
 * 3. Nothing here waits or grows without bound; above `accessLinesMax` a period, lines are gathered
 *    by app and status.
 */
import type { App } from "../app/mod.ts";
import type { Machine, Timer } from "../machine.ts";
import type { LogRing } from "../storage/mod.ts";
import { accessLinesMax, accessPathCharsMax, accessPeriodMs, latencyBoundsMs } from "./limits.ts";
import type { Privacy, RouteTraffic } from "./traffic/mod.ts";

/** One answered request. */
export interface Access {
  readonly id: string;
  readonly host: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly status: number;
  /** Bytes of the body where they are known. */
  readonly bytes: number | null;
  /** From the first byte of the request's handling to the head of the answer. */
  readonly ms: number;
  readonly app: App | null;
  /** What is kept of the client; null: nothing. */
  readonly client: string | null;
  /** Where the answer is counted. */
  readonly traffic: RouteTraffic;
}

/** Answers alike that are gathered into one line; kept by who remembers the URL. */
export interface Tally {
  n: number;
  first: Access | null;
  ms: number;
}

/** Answers of one app and status, of which only the number is kept. */
interface Sum {
  readonly app: App | null;
  readonly status: number;
  n: number;
}

export interface AccessCounts {
  readonly requests: number;
  /** By class: `1xx` to `5xx`. */
  readonly byClass: Readonly<Record<string, number>>;
  /** Requests by latency: `count` is of this bucket alone; the last has no bound. */
  readonly latency: readonly { readonly leMs: number | null; readonly count: number }[];
}

export interface AccessLog {
  /** A short id, sortable by time; unique on this machine. */
  nextId(): string;
  note(access: Access): void;
  /** The same for a file, cheaply: into `tally` when it is like what that holds. */
  noteAlike(access: Access, tally: Tally): void;
  counts(): AccessCounts;
  /** Whether lines name clients, so that each needs its own. */
  namesClients(): boolean;
  /** What a line says of an address; null: nothing. */
  nameOf(address: string | null): string | null;
  /** Writes what is gathered and stops. */
  close(): void;
}

export function createAccessLog(machine: Machine, logs: LogRing, privacy: Privacy): AccessLog {
  const classes = [0, 0, 0, 0, 0, 0];
  const buckets = latencyBoundsMs.map(() => 0).concat(0);
  let lines: Access[] = [];
  let tallies: Tally[] = [];
  let excess = new Map<string, Sum>();
  /** What the last one in excess was counted in: most often the next one is like it. */
  let lastSum: Sum | null = null;

  const count = ({ status, ms, traffic }: Access, bytes: number | null): void => {
    traffic.note(status, ms, bytes);
    const family = (status / 100) | 0;
    classes[family] = (classes[family] ?? 0) + 1;
    let bucket = 0;
    while (bucket < latencyBoundsMs.length && ms > (latencyBoundsMs[bucket] ?? 0)) bucket++;
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  };

  const push = (access: Access): void => {
    if (!privacy.show().log) return;
    if (lines.length < accessLinesMax) {
      lines.push(access);
      return;
    }
    const { app, status } = access;
    if (lastSum === null || lastSum.app !== app || lastSum.status !== status) {
      const key = `${app?.id ?? ""} ${status}`;
      lastSum = excess.get(key) ?? { app, status, n: 0 };
      excess.set(key, lastSum);
    }
    lastSum.n++;
  };

  const write = ({ app, status }: { app: App | null; status: number }, text: string): void => {
    const level = status >= 500 ? "error" : "info";
    logs.append({ app: "access", appId: app?.id ?? null, releaseId: null, level, text });
  };

  const flush = (): void => {
    const now = { lines, tallies, excess };
    lines = [];
    tallies = [];
    excess = new Map();
    lastSum = null;
    for (const access of now.lines) write(access, lineOf(access));
    for (const tally of now.tallies) {
      const { first, n, ms } = tally;
      tally.first = null;
      tally.n = 0;
      if (first === null) continue;
      write(first, lineOf({ ...first, ms: ms / n }, n));
    }
    for (const sum of now.excess.values()) {
      const { app, status, n } = sum;
      write(sum, JSON.stringify({ app: app?.name ?? null, status, n }));
    }
  };

  const timer: Timer = machine.every(accessPeriodMs, flush);
  return {
    nextId: idSource(machine),
    note: (access) => {
      count(access, access.bytes);
      push(shortened(access));
    },
    noteAlike: (access, tally) => {
      const { first } = tally;
      // Those that are alike have as many bytes as the first.
      count(access, access.bytes ?? first?.bytes ?? null);
      if (!privacy.show().log) return;
      if (first === null && tallies.length < accessLinesMax) {
        tally.first = access;
        tally.n = 1;
        tally.ms = access.ms;
        tallies.push(tally);
      } else if (first?.status === access.status && first.method === access.method) {
        tally.n++;
        tally.ms += access.ms;
      } else {
        push(access);
      }
    },
    counts: () => countsOf(classes, buckets),
    nameOf: privacy.nameOf,
    namesClients: () => privacy.show().clients !== "off",
    close: () => {
      timer.cancel();
      flush();
    },
  };
}

function countsOf(classes: readonly number[], buckets: readonly number[]): AccessCounts {
  return {
    requests: classes.reduce((sum, n) => sum + n, 0),
    byClass: Object.fromEntries([1, 2, 3, 4, 5].map((n) => [`${n}xx`, classes[n] ?? 0])),
    latency: buckets.map((n, i) => ({ leMs: latencyBoundsMs[i] ?? null, count: n })),
  };
}

/** One whose path is not kept whole until it is written; "…" says that there was more of it. */
function shortened(access: Access): Access {
  if (access.path.length <= accessPathCharsMax) return access;
  return { ...access, path: `${access.path.slice(0, accessPathCharsMax)}…` };
}

function lineOf(access: Access, n = 1): string {
  return JSON.stringify({
    id: access.id,
    host: access.host,
    method: access.method,
    path: access.path,
    status: access.status,
    bytes: access.bytes,
    ms: Math.round(access.ms * 100) / 100,
    app: access.app?.name ?? null,
    ...(access.client === null ? {} : { client: access.client }),
    ...(n > 1 ? { n } : {}),
  });
}

/** 9 characters of time and 4 of a counter within it, base 32: sorts as text, in order. */
function idSource(machine: Machine): () => string {
  let time = 0;
  let prefix = "";
  let counter = 0;
  return () => {
    const now = machine.now();
    // A clock that is set back must not give an id twice.
    if (now > time) {
      time = now;
      prefix = time.toString(32).padStart(9, "0");
      counter = 0;
    }
    counter++;
    return prefix + counter.toString(32).padStart(4, "0");
  };
}
