/**
 * Which connections are ended, by what the kernel counts of them (TCP_INFO, tcp(7)). Pure.
 *
 * Rules
 * 1. A client that has sent something and gets no answer, because its request is never whole, has
 *    `headS`; silence before the first byte counts as well.
 * 2. A client that takes nearly nothing of what waits for it, or sends nearly nothing of the body it
 *    announced, has `slowReadS`. Reads and bodies that flow may take as long as they like.
 * 3. A request under way is nobody's fault: its head is never judged, only its body and its answer.
 * 4. Beyond a cap, whoever waits for nothing goes first, and who has been still longest of those.
 */
import {
  crowdedReadS,
  handshakeFactor,
  progressBytesMin,
  quietS,
  stuckMax,
  stuckMs,
} from "./limits.ts";

/** What one look shows of a connection; bytes since it was made. */
export interface Sight {
  readonly receivedBytes: number;
  /** Given to TCP to send: sent, or waiting to be. */
  readonly writtenBytes: number;
  readonly ackedBytes: number;
  /** Whether something that was written has not arrived. */
  readonly pending: boolean;
}

/** What is remembered of a connection from look to look; times are monotonic ms. */
export interface Watched {
  readonly lookedMs: number;
  /** Last time a byte went either way. */
  readonly activeMs: number;
  readonly seen: Sight;
  /** Received when something was last written: what is beyond it has no answer yet. */
  readonly markBytes: number;
  /** Since when bytes have no answer; null: there are none. */
  readonly waitingMs: number | null;
  /** Whether it has been written to after the first time: a request of it was answered. */
  readonly proven: boolean;
  /** Where reading stood, what was on its way then, and when: it moves on with progress. */
  readonly read: { readonly bytes: number; readonly dueBytes: number; readonly atMs: number };
  readonly body: { readonly bytes: number; readonly atMs: number };
}

/** What a look adds to what is known. */
export function watch(before: Watched | null, sight: Sight, nowMs: number): Watched {
  const at = (bytes: number) => ({ bytes, atMs: nowMs });
  const reading = { ...at(sight.ackedBytes), dueBytes: sight.writtenBytes };
  if (before === null) {
    const { receivedBytes, writtenBytes } = sight;
    const markBytes = writtenBytes > 0 ? receivedBytes : 0;
    return {
      ...{ lookedMs: nowMs, activeMs: nowMs, seen: sight, markBytes, proven: false },
      waitingMs: writtenBytes > 0 ? null : nowMs,
      ...{ read: reading, body: at(receivedBytes) },
    };
  }
  const { seen } = before;
  const wrote = sight.writtenBytes > seen.writtenBytes;
  const markBytes = wrote ? sight.receivedBytes : before.markBytes;
  const unanswered = sight.receivedBytes > markBytes || sight.writtenBytes === 0;
  const moved =
    wrote || sight.receivedBytes > seen.receivedBytes || sight.ackedBytes > seen.ackedBytes;
  // Of many small answers one is always on its way; what counts is that the earlier ones arrived.
  const { bytes, dueBytes } = before.read;
  const enough = Math.min(dueBytes, bytes + progressBytesMin);
  const taken = !sight.pending || sight.ackedBytes >= enough;
  const begins = unanswered && before.waitingMs === null;
  const sent = begins || sight.receivedBytes - before.body.bytes >= progressBytesMin;
  return {
    lookedMs: nowMs,
    activeMs: moved ? nowMs : before.activeMs,
    seen: sight,
    markBytes,
    waitingMs: unanswered ? (wrote ? nowMs : (before.waitingMs ?? nowMs)) : null,
    proven: before.proven || (wrote && seen.writtenBytes > 0),
    read: taken ? reading : before.read,
    body: sent ? at(sight.receivedBytes) : before.body,
  };
}

/** Why a connection is ended. */
export type Reason = "head" | "read" | "body" | "cap" | "deny";

export interface Patience {
  readonly headMs: number;
  readonly slowReadMs: number;
}

/**
 * Why a connection's time is up, or null. `bodyBytes`: of the request under way on it, 0 when that
 * has no body; null: there is none.
 */
export function overdue(
  { seen, waitingMs, markBytes, proven, read, body }: Watched,
  { nowMs, secure, bodyBytes }: { nowMs: number; secure: boolean; bodyBytes: number | null },
  { headMs, slowReadMs }: Patience,
): Exclude<Reason, "cap" | "deny"> | null {
  if (seen.pending && nowMs - read.atMs > slowReadMs) return "read";
  if (bodyBytes !== null) {
    const whole = seen.receivedBytes - markBytes >= bodyBytes;
    return !whole && nowMs - body.atMs > slowReadMs ? "body" : null;
  }
  const plain = secure ? headMs * handshakeFactor : headMs;
  const allowed = secure && proven ? Math.max(plain, quietS * 1000) : plain;
  return waitingMs !== null && nowMs - waitingMs > allowed ? "head" : null;
}

/** Whether something waits for a client that has taken nothing for a while. */
export const isStuck = ({ seen, read, lookedMs }: Watched): boolean =>
  seen.pending && lookedMs - read.atMs > stuckMs;

/** Milliseconds in which a client must read, when so many of them do not. */
export const readPatienceMs = (stuck: number, slowReadS: number): number =>
  (stuck > stuckMax ? Math.min(slowReadS, crowdedReadS) : slowReadS) * 1000;

/** A connection as the caps see it. */
export interface Holder {
  readonly client: string;
  /** Whether the cap of one client is not for it. */
  readonly exempt: boolean;
  readonly watched: Watched;
}

/** Those that are too many, of one client and of all, the most useless first. */
export function surplus<H extends Holder>(
  holders: readonly H[],
  isBusy: (holder: H) => boolean,
  caps: { readonly all: number; readonly client: number },
): H[] {
  const groups = Map.groupBy(
    holders.filter(({ exempt }) => !exempt),
    ({ client }) => client,
  );
  const going = new Set<H>();
  const end = (among: readonly H[], count: number) => {
    if (count <= 0) return;
    const idle = among.filter((holder) => !going.has(holder) && !isBusy(holder));
    for (const holder of idle.toSorted(worse).slice(0, count)) going.add(holder);
  };
  for (const group of groups.values()) end(group, group.length - caps.client);
  end(holders, holders.length - going.size - caps.all);
  return [...going];
}

/** Whose request is not whole goes before who is idle between two; then the longest still. */
function worse({ watched: a }: Holder, { watched: b }: Holder): number {
  const waits = (watched: Watched) => (watched.waitingMs === null ? 1 : 0);
  return waits(a) - waits(b) || a.activeMs - b.activeMs;
}
