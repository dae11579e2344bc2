/**
 * The named limits of security: a unit in each name, a reason at each. Nothing here may be raised
 * by a caller.
 */
const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** How failures slow the next try: `free` cost nothing, then the wait doubles up to `mostMs`. */
export interface Pace {
  readonly free: number;
  readonly firstMs: number;
  readonly mostMs: number;
  /** Failures older than this are forgotten. */
  readonly forgetMs: number;
}

// Setup code: 12 characters of 32 are 60 bits, which 5 tries at a time never find.
export const setupCodeCharacters = 12;
/** Wrong tries until a new code is made (contract). */
export const setupCodeTries = 5;
/** After the fifth wrong code a second, then doubling: a person waits, a guesser starves. */
export const setupPace: Pace = {
  free: 4,
  firstMs: secondMs,
  mostMs: 5 * minuteMs,
  forgetMs: hourMs,
};

/** Wrong tries after which a code that user-data brought is void until the kernel starts again. */
export const broughtCodeTries = 50;

/** Failed logins an address may make within `loginWindowMs` (contract: 5 a minute). */
export const loginTriesMax = 5;
export const loginWindowMs = minuteMs;
/** An account is never locked, only slowed: at most a minute, or a stranger could keep root out. */
export const accountPace: Pace = { free: 5, firstMs: secondMs, mostMs: minuteMs, forgetMs: hourMs };
/** Addresses and names remembered: about 2 MB at most, the oldest go first. */
export const slowedKeysMax = 10_000;

// argon2id as OWASP's password cheat sheet has it for small memory: 19 MiB, 2 passes, 1 lane.
// About 30 ms on one small core; 2 at once are 38 MiB, which a 512 MB machine can spare.
export const argonMemoryKiB = 19_456;
export const argonPasses = 2;
export const argonRunningMax = 2;
/** Waiting for a turn: about 150 ms of work; beyond it EAGAIN, so that a flood cannot pile up. */
export const argonWaitingMax = 8;

/** Parameters of a hash made elsewhere: more than this and a login would hold the machine up. */
export const hashMemoryKiBMax = 65_536;
export const hashMemoryKiBMin = 7_168;
export const hashPassesMax = 10;
export const hashLanesMax = 4;

/** Shorter passwords are found offline (NIST SP 800-63B asks for 8; root of a machine for more). */
export const passwordCharactersMin = 10;
/** Longer ones only cost hashing time. */
export const passwordBytesMax = 1024;
/** Fewer different characters are a repeated pattern. */
export const passwordDistinctMin = 5;

/** A session nobody uses for a week is over; used daily, the owner logs in once a month. */
export const sessionIdleMs = 7 * dayMs;
export const sessionLifeMs = 30 * dayMs;
/** Sessions of one user; the oldest ends when one more begins. */
export const sessionsPerUserMax = 50;

/** The token a claim gives: long enough to set a machine up, no longer. */
export const setupTokenLifeMs = 30 * dayMs;
export const tokenLifeDefaultMs = 90 * dayMs;
export const tokenLifeMaxMs = 3650 * dayMs;
export const tokensMax = 1000;
export const usersMax = 100;
export const capabilitiesMax = 64;
export const nameCharactersMax = 64;

/** `lastUsedAt` is written this often at most: a busy token must not cost a write a request. */
export const touchEveryMs = minuteMs;
/** Credentials kept in memory: about 2 MB; the others are one indexed read away. */
export const credentialCacheMax = 4096;

/** A DNS name is at most 253 characters (RFC 1035), 64 of which are kept for `<app>.`. */
export const domainCharactersMax = 253 - 64;
/** RFC 5321, 4.5.3.1: a path of 256 with its angle brackets. */
export const emailCharactersMax = 254;

export const auditRowsMax = 100_000;
/** Refusals of strangers: bounded apart, so that a flood of them cannot push out what matters. */
export const auditStrangerRowsMax = 20_000;
/** Every so many rows the log is trimmed, also between two runs of gc. */
export const auditTrimEvery = 1000;
export const auditSubjectBytesMax = 1024;
export const auditPageMax = 1000;
/** Milliseconds from the answer of a new machine key to the fresh start: the answer gets out. */
export const afreshAfterMs = 100;
