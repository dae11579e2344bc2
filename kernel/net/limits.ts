/**
 * Limits of the network; each with its unit and its reason. The size of a request's head (16 KB,
 * 200 headers: 431) is the listener's own and cannot be set.
 */

/** Body of a request to an app, in bytes (contract: request body 10 MB). */
export const bodyBytesMax = 10 * 1024 * 1024;

/** Body of an upload, streamed, in bytes (contract: uploads stream to 100 MB). */
export const uploadBytesMax = 100 * 1024 * 1024;

/**
 * Body of a request to the OS host, in bytes: a whole cartridge. What each call takes is judged by the
 * bridge, and what an app takes by the proxy; nothing of a body that nobody reads is held (measured).
 */
export const osBodyBytesMax = 2048 * 1024 * 1024;

/**
 * What the listener takes beyond an upload, in bytes, before it cuts the connection without a word:
 * room for whoever reads the body to refuse it first, with an errno and a hint.
 */
export const refusalBytes = 16 * 1024 * 1024;

/** How long a client may take to send a body of unknown length, ms: slow senders hold a process. */
export const bodyTimeMsMax = 10 * 60_000;

/**
 * Times `net.headS` that a client may go on sending a body after the app has answered without it:
 * many look at the answer only when they have sent everything.
 */
export const restFactor = 3;

/**
 * Seconds a connection may be idle, and a whole short exchange may take: the listener's timer is not
 * put back by bytes that flow, in either direction (measured). Hence long, so that a file of 5 MB
 * still reaches a client of 20 KB/s; what may take longer is exempt (`isLong`).
 */
export const idleTimeoutS = 240;

/** A body of more bytes than this, or of unknown length, is exempt from `idleTimeoutS`. */
export const shortBodyBytesMax = 2 * 1024 * 1024;

/**
 * Answers beyond `shortBodyBytesMax` that begin in one turn of the event loop, of some 0.2 ms each:
 * two hundred who were ended together come back together.
 */
export const longPerTurn = 4;

/**
 * Requests to apps under way at once (contract: 1000 connections); WebSockets have their own limit,
 * `net.webSocketsMax`.
 */
export const inFlightMax = 1000;

/** Requests under way above which one client is held to its share (`net.clientInFlightMax`). */
export const crowdedAbove = 500;

/**
 * Requests an app may have under way although the rest has every place: one whose replies never
 * come must not take its neighbours' away.
 */
export const inFlightReserved = 16;

/** One WebSocket message from a client, in bytes; a larger one closes with 1009. */
export const messageBytesMax = 4 * 1024 * 1024;

/** Unsent bytes of one WebSocket; a client that reads slower than that is closed. */
export const backlogBytesMax = 16 * 1024 * 1024;

/** A WebSocket without a message or pong is closed after this, in seconds. */
export const webSocketIdleS = 120;

/** A host name, in characters (RFC 1035, 2.3.4). */
export const hostCharsMax = 253;

/** Beginning of a path that is routed, in characters: it is compared with every request's. */
export const prefixCharsMax = 200;

/** Spellings of Host headers remembered; clients choose them, so it is bounded. */
export const hostsRememberedMax = 4096;

/** URLs of files remembered for one host; clients choose them, so it is bounded. */
export const pathsRememberedMax = 4096;

/** Characters of a URL that is remembered: pages that answer every path are asked for any. */
export const urlCharsRememberedMax = 1024;

/** Routes of the machine, added and claimed by manifests together. */
export const routesMax = 10_000;

/** Access lines are written this often, in milliseconds. */
export const accessPeriodMs = 500;

/** Access lines kept for one writing; what exceeds it is counted by app and status. */
export const accessLinesMax = 1000;

/** Characters of a path in an access line. */
export const accessPathCharsMax = 512;

/** How long `close` waits for requests under way, in milliseconds. */
export const drainMsMax = 5000;
/** How long it waits for those it then cuts off to be gone, in milliseconds. */
export const cutMsMax = 1000;

/** How often a change of the machine's domain is looked for, in milliseconds. */
export const domainCheckMs = 1000;

/** Upper bounds of the latency histogram, in milliseconds; the last bucket has no bound. */
export const latencyBoundsMs = [
  1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000,
];

/**
 * How long a listener whose certificates have changed still answers beside its successor, in ms:
 * every connection in use is told to close meanwhile, and what was not yet accepted is.
 */
export const handOverMs = 1500;
