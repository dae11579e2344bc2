/**
 * The one scheduler: looks at the logs of all databases, ships those that changed, a few at a time,
 * and backs off when the store is away.
 *
 * Rules: looking is a `stat` a database and never a call to the store; every database is held from
 * the moment it is found, whether the store answers or not; while the store is away one shipment
 * at a time tries it; the logs are the spool, each within its bound.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../errno.ts";
import type { Machine, Timer } from "../machine.ts";
import { isDatabase, machineDatabase, volumeDatabase } from "./format/mod.ts";
import type { ReplicaLimits } from "./limits.ts";
import { Follower, type FollowStatus } from "./replica-follow.ts";
import { LeaseHolder } from "./replica-lease.ts";
import { openMemory } from "./replica-memory.ts";
import { backoffMs } from "./replica-position.ts";
import { retainGone } from "./replica-retain.ts";
import type { ReplicaStore } from "./store/mod.ts";

export interface ReplicatorOptions {
  readonly machine: Machine;
  readonly store: ReplicaStore;
  readonly limits: ReplicaLimits;
  readonly dataDir: string;
  /** This data directory's own name in the lease. */
  readonly owner: string;
}

/** How everything stands. `away`: the store does not answer; `fenced`: another machine writes. */
export interface ReplicatorStatus {
  readonly state: "ok" | "late" | "away" | "fenced";
  readonly error: string | null;
  readonly databases: readonly FollowStatus[];
}

interface Followed {
  readonly follower: Follower;
  lastRoundMs: number;
  running: Promise<void> | null;
  failures: number;
  retryMs: number;
}

/** Where the file of a database is in a data directory. */
export function databasePath(dataDir: string, database: string): string {
  if (database === machineDatabase) return join(dataDir, machineDatabase);
  return join(dataDir, database.replace(/\.db$/, ""), "app.db");
}

/** The databases of a data directory, the machine's own first. */
function databasesOf(dataDir: string): string[] {
  const volumes = join(dataDir, "volumes");
  const names = existsSync(volumes) ? readdirSync(volumes).sort() : [];
  return [machineDatabase, ...names.map(volumeDatabase)].filter(
    (name) => isDatabase(name) && existsSync(databasePath(dataDir, name)),
  );
}

export class Replicator {
  readonly #options: ReplicatorOptions;
  readonly #lease: LeaseHolder;
  readonly #followed = new Map<string, Followed>();
  #timer: Timer | null = null;
  #discoveredMs = Number.NEGATIVE_INFINITY;
  #sweptMs = Number.NEGATIVE_INFINITY;
  #sweeping: Promise<void> | null = null;
  #failures = 0;
  #downUntilMs = 0;
  #error: string | null = null;
  #hint: string | null = null;
  #ending = false;

  constructor(options: ReplicatorOptions) {
    this.#options = options;
    this.#lease = new LeaseHolder(options);
  }

  start(): void {
    const { machine, limits } = this.#options;
    this.#discover();
    this.#timer = machine.every(limits.lookMs, () => this.#look());
    this.#look();
  }

  status(): ReplicatorStatus {
    const databases = [...this.#followed.values()].map(({ follower }) => follower.status());
    const [failed] = databases.filter(({ error }) => error !== null);
    const error = this.#error ?? (failed === undefined ? null : `${failed.error}`);
    return { state: this.#state(databases), error, databases };
  }

  #state(databases: readonly FollowStatus[]): ReplicatorStatus["state"] {
    const { machine, limits } = this.#options;
    if (this.#lease.lostTo !== null) return "fenced";
    if (this.#failures > 0) return "away";
    const now = machine.now();
    const late = databases.some(
      ({ waitingSince }) => waitingSince !== null && now - waitingSince > limits.lagMsMax,
    );
    return late ? "late" : "ok";
  }

  /** Ships what there is, now. Rejects with the first refusal. */
  async flush(): Promise<void> {
    this.#discover();
    let unfinished: string | null = null;
    for (const followed of this.#followed.values()) {
      await followed.running;
      if (followed.follower.changed()) await this.#round(followed);
      // Before the first snapshot nothing of it can be restored.
      if (followed.follower.status().snapshotAt === null) await followed.follower.settled();
      this.#refuseFailed();
      const { error, snapshotAt } = followed.follower.status();
      if (snapshotAt === null || followed.failures > 0)
        unfinished ??= error ?? `no snapshot of "${followed.follower.database}" is whole`;
    }
    if (unfinished !== null) throw new SysError("EIO", unfinished);
  }

  /** A new snapshot of every database. */
  async snapshot(): Promise<void> {
    this.#discover();
    for (const followed of this.#followed.values()) {
      await followed.running;
      await this.#exclusively(followed, () => followed.follower.snapshotNow());
      this.#refuseFailed();
    }
  }

  #refuseFailed(): void {
    if (this.#error === null) return;
    throw new SysError("EIO", this.#error, this.#hint === null ? {} : { hint: this.#hint });
  }

  /** Gives the lease back, when it is ours: the next writer need not wait. Never rejects. */
  async release(): Promise<void> {
    // What is not given back runs out by itself.
    await this.#lease.release().catch(() => {});
  }

  /** Looks no more; what is under way goes on. */
  stop(): void {
    this.#ending = true;
    this.#timer?.cancel();
  }

  /** Lets go of the databases. Nothing may be under way. */
  close(): void {
    this.stop();
    for (const { follower } of this.#followed.values()) follower.close();
  }

  #look(): void {
    const { machine, limits } = this.#options;
    const nowMs = machine.monotonicMs();
    if (nowMs - this.#discoveredMs >= limits.discoverMs) this.#discover();
    const down = this.#failures > 0;
    if (down) for (const { follower } of this.#followed.values()) follower.giveUpIfOver();
    if (nowMs < this.#downUntilMs) return;
    const all = [...this.#followed.values()].sort((a, b) => a.lastRoundMs - b.lastRoundMs);
    let running = all.filter((each) => each.running !== null).length;
    for (const followed of all) {
      if (running >= (down ? 1 : limits.uploadsMax)) return;
      if (!this.#due(followed, nowMs)) continue;
      running++;
      void this.#round(followed);
    }
  }

  #due({ follower, running, lastRoundMs, retryMs }: Followed, nowMs: number): boolean {
    if (running !== null || nowMs < retryMs) return false;
    return nowMs - lastRoundMs >= this.#options.limits.shipEveryMs && follower.changed();
  }

  /** Once a day, while something is shipped: what is left of databases that are gone. */
  #sweepIfDue(): void {
    const { machine, store, limits } = this.#options;
    const nowMs = machine.monotonicMs();
    const due = nowMs - this.#sweptMs >= limits.sweepEveryMs;
    if (!due || this.#sweeping !== null || this.#ending) return;
    const sweep = async () => {
      await this.#lease.ensure();
      const present = new Set(databasesOf(this.#options.dataDir));
      await retainGone(store, present, machine.now() - limits.retentionMs);
      this.#sweptMs = nowMs;
    };
    // A store that is away is told by the shipment under way; the sweep comes again with the next.
    this.#sweeping = sweep()
      .catch(() => {})
      .finally(() => {
        this.#sweeping = null;
      });
  }

  #round(followed: Followed): Promise<void> {
    followed.lastRoundMs = this.#options.machine.monotonicMs();
    this.#sweepIfDue();
    return this.#exclusively(followed, () => followed.follower.round());
  }

  /** Never rejects: what went wrong is kept and decides when the next try is. */
  async #exclusively(followed: Followed, work: () => Promise<void>): Promise<void> {
    const run = async () => {
      try {
        await work();
        followed.failures = 0;
        this.#failures = 0;
        this.#error = null;
      } catch (error) {
        this.#failed(followed, error);
      }
    };
    followed.running = run();
    await followed.running;
    followed.running = null;
  }

  #failed(followed: Followed, error: unknown): void {
    const { machine, limits } = this.#options;
    const text = error instanceof Error ? error.message : String(error);
    followed.follower.error = text;
    followed.failures++;
    const nowMs = machine.monotonicMs();
    followed.retryMs = nowMs + backoffMs(followed.failures, machine.chance(), limits);
    // What is wrong with one database keeps none of the others waiting.
    if (error instanceof SysError && error.code === "EBADMSG") return;
    this.#failures++;
    this.#error = text;
    this.#hint = error instanceof SysError ? error.hint : null;
    this.#downUntilMs = nowMs + backoffMs(this.#failures, machine.chance(), limits);
    followed.retryMs = 0;
  }

  #discover(): void {
    const { machine, dataDir, limits } = this.#options;
    if (this.#ending) return;
    this.#discoveredMs = machine.monotonicMs();
    const present = new Set(databasesOf(dataDir).slice(0, limits.databasesMax));
    for (const database of present) {
      if (!this.#followed.has(database)) this.#add(database);
    }
    for (const [database, { follower, running }] of this.#followed) {
      if (present.has(database) || running !== null) continue;
      follower.close();
      this.#followed.delete(database);
    }
  }

  #add(database: string): void {
    const { dataDir } = this.#options;
    const memory = openMemory(join(dataDir, "run/replica", `${database}.json`));
    const path = databasePath(dataDir, database);
    const follower = new Follower({
      ...this.#options,
      lease: this.#lease,
      database,
      path,
      memory,
    });
    const followed = { follower, lastRoundMs: 0, running: null, failures: 0, retryMs: 0 };
    this.#followed.set(database, followed);
    try {
      follower.hold();
    } catch (error) {
      this.#failed(followed, new SysError("EBADMSG", `${error}`, { cause: error }));
    }
  }
}
