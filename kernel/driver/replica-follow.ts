/**
 * Following one database: ships what was committed, begins generations, takes snapshots.
 *
 * Rules: one round at a time; nothing is counted as shipped before the store has answered; a doubt
 * about continuity begins a new generation and never patches an old one. What a restart needs is in
 * one small file (`run/replica/<database>.json`), which is only a hint: it is compared with the log
 * and with the store before it is believed.
 *
 * A request may reach the store at any time after it was sent, when its sender has long given up or
 * died. So no name is ever written with two contents: a shipment that was not answered is sent again
 * with the same bytes, by whoever comes next too (`sending`); an index gets one snapshot at most
 * (`tried`), and when that one is not known to be whole, a new generation.
 */

import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { WalPoint } from "./format/mod.ts";
import { compress, keysOf, recordBytes, sha256 } from "./format/mod.ts";
import type { ReplicaLimits } from "./limits.ts";
import type { LeaseHolder } from "./replica-lease.ts";
import { hasSnapshot, type Memories, type Memory, resumed } from "./replica-memory.ts";
import { type Candidate, candidates } from "./replica-plan.ts";
import {
  follow,
  isCopied,
  type Position,
  sameLog,
  shouldSeal,
  shouldSnapshot,
  startOf,
} from "./replica-position.ts";
import { retain } from "./replica-retain.ts";
import { sendSnapshot } from "./replica-snapshot.ts";
import { logStat, openTail, type Tail } from "./replica-tail.ts";
import type { ReplicaStore } from "./store/mod.ts";

export interface FollowOptions {
  readonly machine: Machine;
  readonly store: ReplicaStore;
  readonly lease: LeaseHolder;
  readonly limits: ReplicaLimits;
  readonly database: string;
  readonly path: string;
  readonly memory: Memory;
}

/** How one database stands. Unix ms. */
export interface FollowStatus {
  readonly database: string;
  readonly generation: string | null;
  readonly index: number;
  readonly offset: number;
  readonly shippedAt: number | null;
  readonly snapshotAt: number | null;
  /** Since when something waits to be shipped; null when nothing does. */
  readonly waitingSince: number | null;
  readonly error: string | null;
}

/** What is known of the generation beside the position. */
export interface Course {
  readonly position: Position;
  readonly epoch: number;
  /** Where the segment ends that was sent and not answered; null when there is none. */
  readonly sending: WalPoint | null;
  /** The index whose snapshot was begun last; null before the first. */
  readonly tried: number | null;
  /** Null before the first snapshot is whole. */
  readonly snapshot: { readonly index: number; readonly at: number } | null;
  /** Of the index under way: offset, length, Unix ms. */
  readonly segments: readonly (readonly [number, number, number])[];
  /** SHA-256 of the record of the index before. */
  readonly previous: string | null;
}

/** Milliseconds within which two changes of a file may get the same time. */
const fileTimeMs = 50;

/** What goes first: bytes that were read while writers waited, when their log may have gone. */
interface Pending {
  readonly bytes: Uint8Array;
  readonly end: WalPoint;
  readonly sealed: boolean;
}

export class Follower {
  readonly #options: FollowOptions;
  #tail: Tail | null = null;
  #course: Course | null = null;
  #pending: Pending | null = null;
  /** An index that is complete and whose record is not written yet; it goes second. */
  #ended: Course | null = null;
  #snapshotting: Promise<void> | null = null;
  #hinderedMs: number | null = null;
  /** What the last run remembered, until it has been looked at. */
  #past: Memories | null;
  /** Whether that has not happened yet. */
  #fresh = true;
  /** Why the next generation begins. */
  #reason = "";
  #seen = "";
  #shippedAt: number | null = null;
  /** The latest time that was written down, and under which epoch that is known. Unix ms. */
  #latestAt: number;
  #epoch: number;
  #retainedAt: number;
  #waitingSince: number | null = null;
  error: string | null = null;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#past = options.memory.load();
    this.#latestAt = this.#past?.latestAt ?? 0;
    this.#epoch = this.#past?.epoch ?? -1;
    this.#retainedAt = this.#past?.retainedAt ?? 0;
  }

  get database(): string {
    return this.#options.database;
  }

  /** Whether there is anything to do: the log's size or time is not what it was. */
  changed(): boolean {
    const now = stamp(this.#options.path);
    const due = now !== this.#seen || this.#pending !== null || this.#course === null;
    if (due) this.#waitingSince ??= this.#options.machine.now();
    return due;
  }

  status(): FollowStatus {
    const { position, snapshot } = this.#course ?? { position: null, snapshot: null };
    return {
      database: this.database,
      generation: position?.generation ?? null,
      index: position?.index ?? 0,
      offset: position?.point.offset ?? 0,
      shippedAt: this.#shippedAt,
      snapshotAt: snapshot?.at ?? null,
      waitingSince: this.#waitingSince,
      error: this.error,
    };
  }

  /** Holds the log before anything else happens: from here on nothing is lost. */
  hold(): void {
    const { path, database: name, limits } = this.#options;
    this.#tail ??= openTail({ path, name }, limits);
  }

  /** Ships everything committed so far. Refusals of the store come through. */
  async round(): Promise<void> {
    const seen = stamp(this.#options.path);
    this.hold();
    const epoch = await this.#options.lease.ensure();
    if (this.#fresh) await this.#resume(epoch);
    await this.#shipAll();
    await this.#look(seen);
  }

  async #look(seen: string): Promise<void> {
    const { machine, limits } = this.#options;
    const course = this.#course;
    if (course === null) return;
    const { position, snapshot } = course;
    const last = { lastAt: snapshot?.at ?? 0, lastIndex: snapshot?.index ?? 0 };
    const due = shouldSnapshot({ ...last, index: position.index }, machine.now(), limits);
    if ((snapshot === null || due) && this.#snapshotting === null) await this.#snapshotOrAnew();
    await this.#sealIfDue();
    this.error = null;
    // A file's time is coarse: what has just changed may have changed again within the same tick.
    const quiet = machine.now() - (logStat(this.#options.path)?.mtimeMs ?? 0) > fileTimeMs;
    this.#seen = quiet ? seen : "";
    const same = stamp(this.#options.path) === seen;
    this.#waitingSince = same ? null : machine.now();
  }

  /** Waits until a snapshot under way is done. */
  async settled(): Promise<void> {
    // Its failure is told by `error`.
    await this.#snapshotting?.catch(() => {});
  }

  /** The log has grown beyond its bound while the store is away. */
  giveUpIfOver(): void {
    const { path, limits } = this.#options;
    if ((logStat(path)?.size ?? 0) <= limits.spoolBytes || this.#tail === null) return;
    this.#tail.abandon();
    this.#lose("the log grew beyond its bound while the store was away");
  }

  /** Takes a snapshot now and waits for it. */
  async snapshotNow(): Promise<void> {
    await this.round();
    await this.settled();
    const { store, database } = this.#options;
    const course = this.#course;
    // A log that has one needs no other: what came since is as long as a log may be.
    const has = course !== null && course.snapshot?.index === course.position.index;
    if (has && (await hasSnapshot(course, { store, database }))) return;
    await this.#snapshotOrAnew();
    await this.#snapshotting;
  }

  close(): void {
    this.#tail?.close();
    this.#tail = null;
  }

  #lose(why: string): void {
    this.#course = null;
    this.#pending = null;
    this.#ended = null;
    this.#reason = why;
    this.error = `a new generation begins: ${why}`;
    this.#fresh = false;
    this.#remember();
  }

  /** Keeps what the next run needs; `promised` when the store is about to be told something. */
  #remember(promised = false): void {
    const { memory } = this.#options;
    const course = this.#course;
    const [latestAt, retainedAt] = [this.#latestAt, this.#retainedAt];
    const memories = { course, epoch: Math.max(this.#epoch, 0), latestAt, retainedAt };
    if (promised) memory.promise(memories);
    else memory.save(memories);
  }

  /** Believes what the last run remembered, as far as log and store agree with it. */
  async #resume(epoch: number): Promise<void> {
    const { course = null } = this.#past ?? {};
    this.#past = null;
    const { store, database } = this.#options;
    const tail = this.#tail;
    const found =
      course === null || tail === null
        ? "no place in the log is known"
        : await resumed(course, epoch, { store, database, tail });
    if (typeof found === "string") this.#reason = found;
    else this.#course = found;
    this.#fresh = false;
  }

  /** The time for what is written down: in order, whatever the clock does. Unix ms. */
  #now(): number {
    const { segments = [], snapshot = null } = this.#course ?? {};
    const known = Math.max(segments.at(-1)?.[2] ?? 0, snapshot?.at ?? 0);
    this.#latestAt = Math.max(this.#options.machine.now(), this.#latestAt + 1, known + 1);
    return this.#latestAt;
  }

  async #begin(epoch: number): Promise<void> {
    const { machine, store, database, path, limits } = this.#options;
    const tail = this.#tail;
    if (tail === null) return;
    await this.settled();
    if ((logStat(path)?.size ?? 0) > limits.sealBytes) tail.abandon();
    const generation = Buffer.from(machine.random(8)).toString("hex");
    // A clock that was set back must not make this one look older than those before it.
    if (this.#epoch !== epoch) {
      const before = (await candidates(store, database)).map(latestOf);
      this.#latestAt = Math.max(this.#latestAt, ...before);
      this.#epoch = epoch;
    }
    const startedAt = this.#now();
    const reason = this.#reason;
    const record = { version: 1, generation, database, epoch, startedAt, reason };
    this.#remember(true);
    await store.put(keysOf(database, generation).generationRecord, recordBytes(record));
    const position = startOf(generation);
    const none = { sending: null, tried: null, snapshot: null, segments: [], previous: null };
    this.#course = { position, epoch, ...none };
  }

  async #shipAll(): Promise<void> {
    const tail = this.#tail;
    for (;;) {
      await this.#shipPending();
      await this.#endIndex();
      if (tail === null) return;
      if (this.#course === null) await this.#begin(await this.#options.lease.ensure());
      if (this.#course === null) return;
      const seen = tail.pin();
      // Sealed is what nothing came after. What was seen of another log says nothing about it: then
      // this one was, or it could not have restarted under the hold before.
      const { position } = this.#course;
      if (seen.header !== null && position.header !== null && sameLog(seen.header, position.header))
        this.#setSealed(isCopied(position, seen));
      const course = this.#course;
      const next = follow(course.position, tail.header());
      if (next.kind === "nothing") return;
      if (next.kind === "next index") {
        // Noted before anything is waited for: should this log restart too, it is seen as that.
        this.#ended = course;
        this.#course = { ...course, position: next.position };
        continue;
      }
      if (next.kind === "broken" || !this.#agrees(next.position)) {
        this.#lose(next.kind === "broken" ? next.why : "the log is not what was shipped of it");
        continue;
      }
      this.#course = { ...course, position: next.position };
      // Restarted this very moment: what was seen is not of this log.
      if (seen.header === null || !sameLog(seen.header, next.position.header)) continue;
      if (!(await this.#shipScan(next.position, seen.frames))) return;
    }
  }

  #agrees(position: Position): boolean {
    return this.#tail?.agrees(position) ?? false;
  }

  /** Ships what one look at the log found; answers whether there may be more. */
  async #shipScan(position: Position, frames: number): Promise<boolean> {
    const { header } = position;
    const tail = this.#tail;
    if (header === null || tail === null) return false;
    const { ends, more } = tail.scan(position, header, frames);
    let from = position.point.offset;
    for (const end of ends) {
      await this.#ship({ bytes: tail.read(from, end.offset), end, sealed: false });
      from = end.offset;
    }
    return more;
  }

  /** What was read while writers waited, or sent and not answered. */
  async #shipPending(): Promise<void> {
    const pending = this.#pending ?? this.#unanswered();
    if (pending === null) return;
    await this.#ship(pending);
    this.#pending = null;
  }

  /** The segment that was sent and not answered, read again; begins anew when the log has gone. */
  #unanswered(): Pending | null {
    const { position, sending = null } = this.#course ?? {};
    const tail = this.#tail;
    if (position === undefined || sending === null || tail === null) return null;
    const header = tail.header();
    const same = header !== null && sameLog(header, position.header);
    const bytes = tail.read(position.point.offset, sending.offset);
    if (same && tail.agrees({ ...position, point: sending })) {
      return { bytes, end: sending, sealed: false };
    }
    this.#lose("the log began anew before the store had answered");
    return null;
  }

  /** Puts one segment; only its success moves the position. */
  async #ship({ bytes, end, sealed }: Pending): Promise<void> {
    const { machine, store, lease, database } = this.#options;
    const course = this.#course;
    if (course === null) return;
    const { position } = course;
    await lease.ensure();
    const from = position.point.offset;
    const at = this.#now();
    const key = keysOf(database, position.generation).segment(position.index, from);
    const packed = await compress(bytes);
    this.#course = { ...course, sending: end };
    this.#remember(true);
    await store.put(key, packed);
    this.#shippedAt = machine.now();
    // A snapshot may have become whole meanwhile, or the generation may have been given up.
    const since = this.#course;
    if (since?.position !== position) return;
    this.#course = {
      ...since,
      sending: null,
      position: { ...position, point: end, sealed },
      segments: [...since.segments, [from, bytes.length, at]],
    };
    this.#remember();
  }

  /** Writes the record of an index that is complete, when there is one. */
  async #endIndex(): Promise<void> {
    const { store, database } = this.#options;
    if (this.#ended === null || this.#course === null) return;
    const { position, segments, previous } = this.#ended;
    const { header, point, index } = position;
    if (header === null) return;
    const { sequence, salt1, salt2 } = header;
    const { offset: length, check1, check2 } = point;
    const sums = { sequence, salt1, salt2, check1, check2 };
    const record = recordBytes({ version: 1, index, length, ...sums, segments, previous });
    const ended = this.#ended;
    await store.put(keysOf(database, position.generation).walRecord(index), record);
    if (this.#ended !== ended) return;
    this.#ended = null;
    this.#course = { ...this.#course, segments: [], previous: sha256(record) };
  }

  async #sealIfDue(): Promise<void> {
    const { machine, limits } = this.#options;
    const tail = this.#tail;
    const position = this.#course?.position;
    if (tail === null || !position?.header) return;
    const nowMs = machine.monotonicMs();
    const { sealed, point } = position;
    const snapshotting = this.#snapshotting !== null;
    const facts = { offset: point.offset, sealed, snapshotting, nowMs };
    if (!shouldSeal({ ...facts, hinderedMs: this.#hinderedMs }, limits)) return;
    // Most of the copying hinders nobody; what is left takes a moment.
    tail.copy();
    const seal = tail.seal(position, position.header);
    this.#hinderedMs = seal?.sealed === true ? null : nowMs;
    if (seal === null) return;
    if (seal.tail !== null) this.#pending = { ...seal.tail, sealed: seal.sealed };
    else this.#setSealed(seal.sealed);
    await this.#shipPending();
  }

  #setSealed(sealed: boolean): void {
    const course = this.#course;
    if (course === null || course.position.sealed === sealed) return;
    this.#course = { ...course, position: { ...course.position, sealed } };
    this.#remember();
  }

  /** The index may have half a snapshot, or one that is still on its way: no second one then. */
  async #snapshotOrAnew(): Promise<void> {
    const { position, tried = null } = this.#course ?? {};
    if (tried !== null && tried === position?.index) {
      this.#lose("a snapshot did not reach the store");
      await this.#shipAll();
    }
    await this.#snapshot();
  }

  /** Begins a snapshot; its upload goes on while rounds go on. */
  async #snapshot(): Promise<void> {
    const tail = this.#tail;
    if (tail === null) return;
    const generation = this.#course?.position.generation;
    const held = tail.snapshot();
    try {
      await this.#shipAll();
      const course = this.#course;
      if (course === null || course.position.generation !== generation) {
        held.end();
        return;
      }
      this.#course = { ...course, tried: course.position.index };
      this.#remember(true);
      this.#snapshotting = this.#upload(course.position, held).finally(() => {
        this.#snapshotting = null;
      });
      // A failure is told by `error`, and the next round begins another one.
      this.#snapshotting.catch(() => {});
    } catch (error) {
      held.end();
      throw error;
    }
  }

  async #upload(position: Position, held: ReturnType<Tail["snapshot"]>): Promise<void> {
    const { store, database, limits } = this.#options;
    try {
      const { index } = position;
      const now = () => this.#now();
      const at = await sendSnapshot({ store, database, position, pieces: held.pieces(), now });
      if (this.#course?.position.generation !== position.generation) return;
      this.#course = { ...this.#course, snapshot: { index, at } };
      const due = Math.abs(at - this.#retainedAt) >= limits.retainEveryMs;
      if (due) this.#retainedAt = at;
      this.#remember();
      if (due) await retain(store, database, at - limits.retentionMs);
    } catch (error) {
      this.error = `cannot take a snapshot: ${error instanceof SysError ? error.message : error}`;
      this.#seen = "";
      throw error;
    } finally {
      held.end();
    }
  }
}

/** The latest time of a generation that is known without reading its log. */
function latestOf({ startedAt, snapshots }: Candidate): number {
  return Math.max(Number.isFinite(startedAt) ? startedAt : 0, ...snapshots.map(({ at }) => at));
}

/** What tells one state of a log from another without opening it. */
function stamp(path: string): string {
  const log = logStat(path);
  return log === null ? "none" : `${log.ino} ${log.size} ${log.mtimeMs}`;
}
