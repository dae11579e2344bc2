/**
 * The decisions of replication, as pure functions: whether a log goes on from where we were, when
 * to seal it, when to take a snapshot, who may write, and how long to wait after a failure.
 *
 * How a log is followed (one database)
 *   shipped(offset) → log grew                    → shipped(offset')
 *   shipped → everything copied into the file
 *             while writers waited                → sealed
 *   sealed  → log grew in place                   → shipped, before anything of it is sent
 *   sealed  → log restarted (salt1 + 1)     → next index, offset 0
 *   any     → anything else                       → a new generation
 * A restart is only right after a seal, and only when a read transaction has been held since: it
 * keeps everybody from copying frames that we have not read.
 */
import {
  firstPoint,
  frameBytes,
  type Lease,
  type WalHeader,
  type WalPoint,
  walHeaderBytes,
} from "./format/mod.ts";

/** How far one database has been shipped. */
export interface Position {
  readonly generation: string;
  readonly index: number;
  /** Null before the log of this index has a header. */
  readonly header: WalHeader | null;
  readonly point: WalPoint;
  /** Everything up to here is in the database file, and nothing came after it. */
  readonly sealed: boolean;
}

/** The beginning of the log, before a byte of it is shipped. */
const nothing: WalPoint = { offset: 0, check1: 0, check2: 0 };

/** The first position of a generation, over the log as it is now. */
export function startOf(generation: string): Position {
  return { generation, index: 0, header: null, point: nothing, sealed: false };
}

/** What to do about the log's header. */
export type Follow =
  | { readonly kind: "go on"; readonly position: Position }
  | { readonly kind: "nothing" }
  | { readonly kind: "next index"; readonly position: Position }
  | { readonly kind: "broken"; readonly why: string };

/** Whether two headers are of one log. */
export const sameLog = (a: WalHeader, b: WalHeader | null): boolean =>
  a.salt1 === b?.salt1 && a.salt2 === b.salt2;

/** The log as SQLite saw it while nobody could restart it. */
export interface Seen {
  readonly header: WalHeader | null;
  /** Frames of committed transactions; what stands behind them never happened. */
  readonly frames: number;
  /** How many of them are in the file. */
  readonly copied: number;
}

/** Whether all of the log is shipped and in the file: it may restart, and nothing is lost. */
export function isCopied({ header, point }: Position, seen: Seen): boolean {
  if (header === null || seen.header === null || !sameLog(seen.header, header)) return false;
  const end = walHeaderBytes + seen.frames * frameBytes(header);
  return seen.frames > 0 && seen.copied === seen.frames && point.offset === end;
}

/**
 * How many restarts lie between two headers; 0 when the second does not follow the first. Only
 * the first salt tells: the sequence number is counted by each connection for itself.
 */
export function restarts(from: WalHeader, to: WalHeader): number {
  const n = (to.salt1 - from.salt1) >>> 0;
  return n < 0x1_0000 ? n : 0;
}

/** Compares the log's header (null: it has none) with where we were. */
export function follow(position: Position, header: WalHeader | null): Follow {
  const { header: known } = position;
  if (known === null) {
    if (header === null) return { kind: "nothing" };
    return { kind: "go on", position: { ...position, header } };
  }
  if (header === null) {
    return position.sealed ? { kind: "nothing" } : broken("the log was emptied before it was read");
  }
  if (sameLog(known, header)) return { kind: "go on", position };
  if (restarts(known, header) === 0) return broken("the log was replaced");
  if (!position.sealed) return broken("the log was restarted before it was read");
  // Under a hold it restarts once. More often means that nobody held it, and a log is missing.
  if (restarts(known, header) > 1) return broken("a log was written that nobody read");
  if (known.pageBytes !== header.pageBytes) return broken("the page size changed");
  const next = { ...position, index: position.index + 1, header, point: nothing, sealed: false };
  return { kind: "next index", position: next };
}

const broken = (why: string): Follow => ({ kind: "broken", why });

/** Where reading goes on: behind the header when not even that is shipped. */
export function readingPoint(position: Position, header: WalHeader): WalPoint {
  return position.point.offset === 0 ? firstPoint(header) : position.point;
}

/** What decides about a seal. Bytes, and milliseconds on one clock. */
export interface SealFacts {
  readonly offset: number;
  readonly sealed: boolean;
  readonly snapshotting: boolean;
  readonly nowMs: number;
  /** When the last attempt was that a reader hindered; null when there was none. */
  readonly hinderedMs: number | null;
}

/** Whether to copy the log into the file now, so that it starts anew. */
export function shouldSeal(
  facts: SealFacts,
  limits: { readonly sealBytes: number; readonly sealRetryMs: number },
): boolean {
  const { offset, sealed, snapshotting, nowMs, hinderedMs } = facts;
  if (sealed || snapshotting || offset < limits.sealBytes) return false;
  return hinderedMs === null || nowMs - hinderedMs >= limits.sealRetryMs;
}

/** Whether a generation is due another snapshot: only when something changed since the last. */
export function shouldSnapshot(
  facts: { readonly lastAt: number; readonly index: number; readonly lastIndex: number },
  now: number,
  limits: { readonly snapshotEveryMs: number; readonly snapshotIndexesMax: number },
): boolean {
  const indexes = facts.index - facts.lastIndex;
  if (indexes >= limits.snapshotIndexesMax) return true;
  return indexes > 0 && now - facts.lastAt >= limits.snapshotEveryMs;
}

/** What to do about the lease. */
export type Claim =
  | { readonly kind: "hold" }
  | { readonly kind: "write"; readonly lease: Lease; readonly taken: boolean }
  | { readonly kind: "wait"; readonly untilMs: number; readonly owner: string };

/** Who is asking, when, and how long a lease is good. Unix ms. */
export interface Claimant {
  readonly owner: string;
  readonly now: number;
  readonly ttlMs: number;
  /** For how long the lease has been seen as it is, by a clock that never jumps. */
  readonly unchangedMs: number;
  /** Bytes have been shipped under it: one that is ours but of another epoch is no longer ours. */
  readonly epoch: number | null;
}

/** Compares the lease in the store (null: none) with who wants to write. */
export function claim(
  found: Lease | "damaged" | null,
  { owner, now, ttlMs, unchangedMs, epoch }: Claimant,
): Claim {
  const expiresAt = now + ttlMs;
  const write = (next: number, taken: boolean): Claim => {
    return { kind: "write", lease: { version: 1, owner, epoch: next, expiresAt }, taken };
  };
  if (found === null) return write((epoch ?? 0) + 1, true);
  // Whose it was nobody can tell. Who holds one goes on; a time is later than any epoch counted.
  if (found === "damaged") return epoch === null ? write(now, true) : write(epoch, false);
  if (found.owner === owner && (epoch === null || found.epoch === epoch)) {
    // A third of its time is left for the renewal to fail and be tried again.
    const leftMs = found.expiresAt - now;
    // More than all of it: our clock was set back, and others see a lease that nobody renews.
    const fresh = epoch !== null && leftMs > (ttlMs * 2) / 3 && leftMs <= ttlMs;
    return fresh ? { kind: "hold" } : write(found.epoch, false);
  }
  // Written before ours and come late: who takes one counts on.
  if (epoch !== null && found.epoch < epoch) return write(epoch, false);
  // A clock that was ahead must not lock everybody out for longer than a lease lasts.
  const untilMs = Math.min(found.expiresAt, now + ttlMs - unchangedMs);
  if (untilMs > now) return { kind: "wait", untilMs, owner: found.owner };
  return write(found.epoch + 1, true);
}

/** Milliseconds to wait after the n-th failure in a row (from 1): doubling, with jitter. */
export function backoffMs(
  failures: number,
  chance: number,
  limits: { readonly backoffMsMin: number; readonly backoffMsMax: number },
): number {
  const full = Math.min(limits.backoffMsMin * 2 ** Math.min(failures - 1, 20), limits.backoffMsMax);
  return Math.round(full * (0.5 + chance / 2));
}

/** A generation as retention sees it. Unix ms; newest index last. */
export interface Kept {
  readonly generation: string;
  readonly snapshots: readonly { readonly index: number; readonly at: number }[];
}

/** What may go: whole generations, and in the others everything below an index. */
export interface Expired {
  readonly generations: string[];
  readonly below: readonly { readonly generation: string; readonly index: number }[];
}

/**
 * What is older than any time a restore may ask for. Generations in order of their beginning. The
 * newest snapshot of all stays, whatever its age; a generation goes when a later one has a
 * snapshot from before the cut.
 */
export function expired(kept: readonly Kept[], cutAt: number): Expired {
  const covered = kept.findLastIndex(({ snapshots }) => snapshots.some(({ at }) => at <= cutAt));
  const generations = kept.slice(0, Math.max(covered, 0)).map(({ generation }) => generation);
  const below = kept.slice(Math.max(covered, 0)).flatMap(({ generation, snapshots }) => {
    const old = snapshots.filter(({ at }) => at <= cutAt).map(({ index }) => index);
    const index = Math.max(...old, 0);
    return index > 0 ? [{ generation, index }] : [];
  });
  return { generations, below };
}
