/**
 * The deeds that use what there is until it is gone: of each, what its client gets, and what the
 * owner is told of it.
 */

export interface Waste {
  /** The app and, where one app has several, the path. */
  readonly app: string;
  readonly path?: string;
  /** The reply: its status, then its text. */
  readonly reply: RegExp;
  /** In the log, or the reason of the app's status; null where there is nothing to tell. */
  readonly told: RegExp | null;
  /** Whether its process is there afterwards, the same as before; null where it may be either. */
  readonly lives: boolean | null;
}

const outOfMemory = /out of memory: it used \d+ MB and may use 128 MB/;

export const wastes: Readonly<Record<string, Waste>> = {
  "allocates without end": { app: "memory", reply: /^502/, told: outOfMemory, lives: false },
  "allocates all at once": { app: "gulp", reply: /^502/, told: outOfMemory, lives: false },
  "a fork bomb": {
    app: "forks",
    reply: /^200 \{"made":0\}/,
    told: /forks: made 0, refused .*EPERM/,
    lives: true,
  },
  "a thread bomb": {
    app: "threads",
    reply: /^502/,
    told: /out of memory|Failed to spawn worker thread/,
    lives: null,
  },
  "opens files without end": {
    app: "descriptors",
    reply: /^200 \{"code":"EMFILE","count":(\d{3}|10\d\d)\}/,
    told: /descriptors: EMFILE/,
    lives: true,
  },
  "a giant reply, whole": {
    app: "giant",
    path: "/whole",
    reply: /^502/,
    told: outOfMemory,
    lives: false,
  },
  "giant headers": {
    app: "giant",
    path: "/headers",
    reply: /^502/,
    told: /the reply's headers are over 64 KB/,
    lives: true,
  },
  "files of its own without end": {
    app: "data",
    path: "/files",
    reply: /^200 \{"code":"EDQUOT"/,
    told: /files: \{"code":"EDQUOT"/,
    lives: true,
  },
  "keys without end": {
    app: "data",
    path: "/keys",
    reply: /^200 \{"code":"EDQUOT"/,
    told: /keys: \{"code":"EDQUOT"/,
    lives: true,
  },
  "rows without end": {
    app: "data",
    path: "/sql",
    reply: /^200 \{"code":"SQLITE_FULL"/,
    told: /sql: \{"code":"SQLITE_FULL"/,
    lives: true,
  },
  "events without end": {
    app: "data",
    path: "/events",
    reply: /^200 \{"code":"(EAGAIN|EDQUOT)"/,
    told: /events: \{"code":"E/,
    lives: true,
  },
  "one-shots without end": {
    app: "data",
    path: "/schedules",
    reply: /^200 \{"code":"EDQUOT","count":1000\}/,
    told: /schedules: \{"code":"EDQUOT"/,
    lives: true,
  },
  "stops itself": { app: "halt", reply: /^200 went on/, told: /halt: ESRCH/, lives: true },
  "rubbish to the kernel": {
    app: "wire",
    path: "/rubbish",
    reply: /^502/,
    told: /broke the protocol: frame of 4294967295 bytes/,
    lives: false,
  },
  "a frame without end": {
    app: "wire",
    path: "/too-long",
    reply: /^502/,
    told: /broke the protocol: frame of 2147483647 bytes/,
    lives: false,
  },
  "a frame too short": {
    app: "wire",
    path: "/too-short",
    reply: /^502/,
    told: /broke the protocol: frame of 1 bytes/,
    lives: false,
  },
  "a hello that is none": {
    app: "wire",
    path: "/bad-hello",
    reply: /^502/,
    told: /broke the protocol: a hello that is no JSON/,
    lives: false,
  },
  "a stream it may not open": {
    app: "wire",
    path: "/bad-head",
    reply: /^502/,
    told: /broke the protocol: stream 7 cannot be opened/,
    lives: false,
  },
  "a frame of no known kind": {
    app: "wire",
    path: "/unknown-type",
    reply: /^200 went on/,
    told: null,
    lives: true,
  },
  "a reply nobody asked for": {
    app: "wire",
    path: "/foreign-stream",
    reply: /^200 went on/,
    told: null,
    lives: true,
  },
  "credit without end": {
    app: "wire",
    path: "/credit",
    reply: /^200 went on/,
    told: null,
    lives: true,
  },
};
