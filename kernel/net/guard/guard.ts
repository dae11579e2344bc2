/**
 * The guard of the listeners: looks at every connection each second, ends those whose time is up or
 * that are too many, and keeps denied networks out by a filter on the listening sockets.
 *
 * Rules: what it decides is `judge.ts`; a look never takes the event loop for longer than a part of
 * the descriptors; a request costs nothing for it, it asks for those under way only when it has
 * somebody to judge.
 */
import type { Machine } from "../../machine.ts";
import { addressText, bytesOf, type Clients } from "../client/mod.ts";
import { filterOf } from "./filter.ts";
import {
  type Holder,
  isStuck,
  overdue,
  type Reason,
  readPatienceMs,
  surplus,
  type Watched,
  watch,
} from "./judge.ts";
import { chunkFds, endsPauseMs, endsPerTurn, lookMs, waitingMax } from "./limits.ts";
import { type Descriptor, openSockets, type Sockets } from "./socket.ts";

/** A request or WebSocket under way, by the peer it came from. */
export interface UnderWay {
  readonly address: string;
  readonly port: number;
  /** Whose it is; behind a trusted proxy that is not the peer. */
  readonly client: string;
  /** Of its body where that can be compared with what the connection received; else 0. */
  readonly bodyBytes: number;
}

export interface GuardOptions {
  readonly machine: Machine;
  readonly clients: Clients;
  /** The ports listened on, and whether TLS is spoken there. */
  ports(): ReadonlyMap<number, boolean>;
  underWay(): Iterable<UnderWay>;
}

export interface GuardCounts {
  /** Connections at the last look. */
  readonly open: number;
  /** Ended since boot, by reason. */
  readonly ended: Readonly<Record<Reason, number>>;
}

export interface Guard {
  counts(): GuardCounts;
  /** Connections by address, at the last look. */
  clients(): ReadonlyMap<string, number>;
  /** Takes a place for a long answer, which may wait in memory for its reader; false: none left. */
  takePlace(): boolean;
  /** Rules or listeners have changed: looks at once. */
  touch(): void;
  close(): void;
}

/** A connection that is watched. */
interface Connection extends Holder {
  readonly fd: number;
  readonly peer: Uint8Array;
  readonly key: string;
  readonly address: string;
  readonly secure: boolean;
  readonly watched: Watched;
}

export function createGuard(options: GuardOptions): Guard {
  const ended: Record<Reason, number> = { head: 0, read: 0, body: 0, cap: 0, deny: 0 };
  const sockets = openSockets();
  if (sockets === null) {
    const none = { open: 0, ended };
    const clients = () => new Map<string, number>();
    return {
      counts: () => none,
      clients,
      takePlace: () => true,
      touch: () => undefined,
      close: () => undefined,
    };
  }
  const watcher = new Watcher(options, sockets, ended);
  const timer = options.machine.every(lookMs, () => watcher.look());
  return {
    counts: () => ({ open: watcher.open(), ended }),
    clients: () => watcher.clients(),
    takePlace: () => watcher.takePlace(),
    touch: () => watcher.touch(),
    close: () => {
      timer.cancel();
      watcher.close();
    },
  };
}

const keyOf = (peer: Uint8Array): string => Buffer.from(peer).toString("latin1");

class Watcher {
  readonly #options: GuardOptions;
  readonly #sockets: Sockets;
  readonly #ended: Record<Reason, number>;
  /** By descriptor, as of the last look and of this one. */
  #before = new Map<number, Connection>();
  #now = new Map<number, Connection>();
  /** Which filter is on which listening socket. */
  #filters = new Map<bigint, object>();
  #listeners: number[] = [];
  #ports: ReadonlyMap<number, boolean> = new Map();
  #looking = false;
  /** Which look the parts that are to come belong to. */
  #turn = 0;
  #closed = false;
  #open = 0;
  /** Connections that something waits for, at the last look, and long answers begun since. */
  #waiting = 0;
  #begun = 0;
  /** Connections that took nothing of what waits for them, at the last look. */
  #stuck = 0;

  constructor(options: GuardOptions, sockets: Sockets, ended: Record<Reason, number>) {
    this.#options = options;
    this.#sockets = sockets;
    this.#ended = ended;
  }

  open(): number {
    return this.#open;
  }

  close(): void {
    this.#closed = true;
  }

  clients(): Map<string, number> {
    const count = new Map<string, number>();
    for (const { address } of this.#before.values()) {
      count.set(address, (count.get(address) ?? 0) + 1);
    }
    return count;
  }

  /** Who began since the last look may be waiting as well. */
  takePlace(): boolean {
    return this.#waiting + ++this.#begun <= waitingMax;
  }

  /** One look at everything at once: what is denied ends before the call that denied it answers. */
  touch(): void {
    if (this.#closed) return;
    // One that is under way has judged by what held before: it is made anew.
    this.#begin();
    this.#part(0, this.#sockets.bound());
    this.#end();
  }

  /** One look, part by part. */
  look(): void {
    if (this.#looking || this.#closed) return;
    this.#begin();
    const bound = this.#sockets.bound();
    const turn = this.#turn;
    const next = (from: number, size: number): void => {
      if (this.#closed || turn !== this.#turn) return;
      const to = Math.min(bound, from + size);
      const some = this.#part(from, to) > 0;
      const then = () => next(to, some ? endsPerTurn : chunkFds);
      if (to >= bound) this.#end();
      else this.#options.machine.after(some ? endsPauseMs : 0, then);
    };
    next(0, chunkFds);
  }

  #begin(): void {
    this.#looking = true;
    this.#turn++;
    this.#now = new Map();
    this.#listeners = [];
    this.#ports = this.#options.ports();
  }

  /** Looks at some of them; how many it has ended. */
  #part(from: number, to: number): number {
    const ports = new Set(this.#ports.keys());
    const seen: Connection[] = [];
    for (let fd = from; fd < to; fd++) {
      const descriptor = this.#sockets.look(fd, ports);
      if (descriptor === null) continue;
      if (descriptor.peer === null) this.#listeners.push(fd);
      else seen.push(...this.#watch(descriptor, descriptor.peer));
    }
    return this.#judge(seen);
  }

  #watch({ fd, port }: Descriptor, peer: Uint8Array): Connection[] {
    const sight = this.#sockets.sight(fd);
    if (sight === null) return [];
    const key = keyOf(peer);
    const known = this.#before.get(fd);
    const before = known?.key === key ? known : null;
    const watched = watch(before?.watched ?? null, sight, this.#options.machine.monotonicMs());
    const address = before?.address ?? addressText(peer.subarray(2));
    const visitor = this.#options.clients.peer(address);
    if (visitor.denied) {
      this.#close({ fd, peer }, "deny");
      return [];
    }
    const { client, exempt } = visitor;
    const secure = this.#ports.get(port) ?? false;
    const connection = { fd, peer, key, address, client, exempt, secure, watched };
    this.#now.set(fd, connection);
    return [connection];
  }

  /** Ends those of them whose time is up; how many. */
  #judge(connections: readonly Connection[]): number {
    const { machine, clients } = this.#options;
    const { headS, slowReadS } = clients.limits;
    const slowReadMs = readPatienceMs(this.#stuck, slowReadS);
    const patience = { headMs: headS * 1000, slowReadMs };
    const nowMs = machine.monotonicMs();
    let busy: ReadonlyMap<string, number> | null = null;
    let count = 0;
    const judged = (connection: Connection, bodyBytes: number | null): Reason | null =>
      overdue(connection.watched, { nowMs, secure: connection.secure, bodyBytes }, patience);
    for (const connection of connections) {
      // Nearly everybody is in time whatever is under way.
      const suspect = judged(connection, null) ?? judged(connection, Number.MAX_SAFE_INTEGER);
      if (suspect === null) continue;
      busy ??= this.#busy();
      const reason = judged(connection, busy.get(connection.key) ?? null);
      if (reason === null) continue;
      this.#close(connection, reason);
      count++;
    }
    return count;
  }

  #end(): void {
    const { connectionsMax, clientConnectionsMax } = this.#options.clients.limits;
    const caps = { all: connectionsMax, client: clientConnectionsMax };
    const all = [...this.#now.values()];
    this.#before = this.#now;
    this.#open = all.length;
    this.#waiting = all.filter(({ watched }) => watched.seen.pending).length;
    this.#begun = 0;
    this.#stuck = all.filter(({ watched }) => isStuck(watched)).length;
    this.#looking = false;
    if (all.length > Math.min(caps.all, caps.client)) {
      const busy = this.#busy();
      this.#endSome(
        surplus(all, ({ key }) => busy.has(key), caps),
        this.#turn,
      );
    }
    this.#filter();
  }

  /** Ends those beyond a cap, until the next look says who they are by then. */
  #endSome(those: readonly Connection[], turn: number): void {
    if (this.#closed || turn !== this.#turn) return;
    const busy = this.#busy();
    for (const one of those.slice(0, endsPerTurn)) if (!busy.has(one.key)) this.#close(one, "cap");
    const rest = those.slice(endsPerTurn);
    if (rest.length === 0) return;
    this.#options.machine.after(endsPauseMs, () => this.#endSome(rest, turn));
  }

  #close({ fd, peer }: Pick<Connection, "fd" | "peer">, reason: Reason): void {
    this.#now.delete(fd);
    if (this.#sockets.end(fd, peer)) this.#ended[reason]++;
  }

  /** Bytes of body of the requests under way, by peer. */
  #busy(): Map<string, number> {
    const busy = new Map<string, number>();
    for (const { address, port, bodyBytes } of this.#options.underWay()) {
      const bytes = bytesOf(address);
      if (bytes !== null)
        busy.set(keyOf(Uint8Array.of(port >> 8, port & 255, ...bytes)), bodyBytes);
    }
    return busy;
  }

  /** Puts the rules of now on the listening sockets that do not have them. */
  #filter(): void {
    const { clients } = this.#options;
    const { ranked } = clients.verdicts;
    const filters = new Map<bigint, object>();
    const wanted = ranked.some(({ verdict }) => verdict === "deny") ? filterOf(ranked) : null;
    let held = wanted?.whole ?? true;
    for (const fd of this.#listeners) {
      const cookie = this.#sockets.cookie(fd);
      if (!this.#filters.has(cookie)) this.#sockets.holdLittle(fd);
      const same = this.#filters.get(cookie) === ranked;
      if (!same && !this.#sockets.filter(fd, wanted?.steps ?? null)) held = false;
      else filters.set(cookie, ranked);
    }
    this.#filters = filters;
    clients.filtered(held);
  }
}
