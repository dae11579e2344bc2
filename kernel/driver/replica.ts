/**
 * The replica as the kernel sees it: where it is, the process that follows the databases, restores
 * of single apps, drills. The work itself is done in the replicator's process.
 *
 * Rules: the kernel never opens a database's file for it; while a replica is set, commits leave the
 * log to the replicator; a replicator that dies is started again; the secret is sealed in its row
 * and travels to the process over a pipe.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { App, Apps } from "../app/mod.ts";
import type { Caller } from "../caller.ts";
import { type Errno, SysError } from "../errno.ts";
import type { Machine, Timer } from "../machine.ts";
import type { Security } from "../security/mod.ts";
import type { EncloseCheck, Storage, Tx } from "../storage/mod.ts";
import type { Job } from "./child.ts";
import { volumeDatabase } from "./format/mod.ts";
import { drillKeepRows, type ReplicaLimits, limits as standardLimits } from "./limits.ts";
import { type Adoption, type AdoptionStep, createAdoption } from "./replica-adopt.ts";
import type { FollowStatus } from "./replica-follow.ts";
import { roomFor, swapIn, tidyRun } from "./replica-machine.ts";
import type { ListedGeneration, Plan } from "./replica-plan.ts";
import { Following, runJob } from "./replica-process.ts";
import { type LookInside, lookBelow, lookInside, type Restored } from "./replica-restore.ts";
import { type Place, readTarget, targetOf, targetWriter } from "./replica-target.ts";
import type { ReplicatorStatus } from "./replicator.ts";
import { placeOf, type Target } from "./store/mod.ts";

/** One database of a drill. `problem` is null when its restore is good. */
export interface Drilled extends Restored {
  readonly endsAt: number | null;
  readonly problem: string | null;
}

/** A restore that was tried out. Unix ms. */
export interface Drill {
  readonly at: number;
  readonly ok: boolean;
  readonly tookMs: number;
  readonly databases: Drilled[];
}

export interface ReplicaStatus {
  /** `off`: none is set. `starting`: the replicator has not said anything yet. */
  readonly state: "off" | "starting" | ReplicatorStatus["state"];
  readonly place: string | null;
  readonly error: string | null;
  readonly databases: FollowStatus[];
  readonly lastDrill: Drill | null;
}

/** A restore of one app's volume. */
export interface RestoreApp {
  readonly appId: string;
  /** Unix ms; null: the latest. */
  readonly at: number | null;
  readonly dryRun: boolean;
}

export interface Driver {
  readonly replica: {
    /** Makes sure the place works, then replicates to it. EINVAL, and what the store refuses with. */
    set(from: Caller, place: Place): Promise<ReplicaStatus>;
    /** Replicates no more; what is in the store stays. ENOENT. */
    rm(): Promise<void>;
    status(): ReplicaStatus;
    /** Where it is, with the store's secret: never for a bridge. ENOENT when none is set. */
    target(): Target;
    /** What can be restored. ENOENT when none is set, and what the store refuses with. */
    ls(): Promise<ListedGeneration[]>;
    /** Ships everything committed until now. ENOENT, EIO. */
    flush(): Promise<ReplicaStatus>;
    /** Takes snapshots now. ENOENT, EIO. */
    snapshot(): Promise<ReplicaStatus>;
    /** Restores everything into a temporary file, looks at every page, throws it away. ENOENT. */
    verify(): Promise<Drill>;
    /**
     * Makes an unclaimed machine an old one. EACCES, EAGAIN (setup code), EEXIST (claimed), EBUSY,
     * EINVAL (place), and what the store refuses with; what goes wrong later ends the steps.
     */
    adopt(from: Adoption): Promise<AsyncGenerator<AdoptionStep>>;
    /** EBUSY while the app is not stopped; EBADMSG, naming what is damaged; ENOENT. */
    restore(wanted: RestoreApp): Promise<Plan>;
  };
  /** Ships what is left and ends; called when the databases are closed. Idempotent. */
  close(): Promise<void>;
}

export interface DriverOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly security: Security;
  readonly apps: Apps;
  readonly dataDir: string;
  /** The command line of this very program. */
  readonly program: readonly string[];
  /** Where what was restored is looked through; absent: in the replicator's process. */
  readonly enclose?: EncloseCheck;
  /** Ends this kernel and begins the next one, which opens what was restored. */
  readonly startAfresh?: (reason: string) => void;
  /** Limits other than the standard ones. */
  readonly limits?: Partial<ReplicaLimits>;
  /** Whether an app has a process, which may be writing though it was told to stop. */
  readonly runs: (app: App) => boolean;
}

/** What a job's refusal may be to the caller of a call. */
const told: ReadonlySet<Errno> = new Set(["ENOENT", "EACCES", "EBADMSG", "EIO"]);

export function createDriver(options: DriverOptions): Driver {
  tidyRun(options.dataDir);
  const replica = new Replica(options);
  replica.begin();
  return { replica, close: () => replica.close() };
}

const mayBeWriting = ({ name }: App): SysError =>
  new SysError("EBUSY", `cannot restore "${name}": it may be writing`, {
    hint: `fazt proc stop ${name}, restore, then fazt proc start-app ${name}`,
  });

const restoring = ({ name }: App): SysError =>
  new SysError("EBUSY", `cannot restore "${name}": another restore is under way`, {
    hint: "try again when that one has answered",
    retryAfterMs: 5_000,
  });

class Replica {
  readonly adopt: Driver["replica"]["adopt"];
  readonly #options: DriverOptions;
  readonly #limits: ReplicaLimits;
  #target: Target | null = null;
  #following: Following | null = null;
  /** Resolves when the replicators that were told to end have gone. */
  #ending: Promise<unknown> = Promise.resolve();
  /** One app's volume is put back at a time; while it takes its place nobody has volumes open. */
  #restoring = false;
  #swapping = false;
  #error: string | null = null;
  #restart: Timer | null = null;
  #drilling: Promise<Drill> | null = null;
  readonly #drills: Timer;
  readonly #look: LookInside | undefined;
  /** Ends every job under way. */
  readonly #jobs = new AbortController();
  #closed = false;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#limits = { ...standardLimits, ...options.limits };
    const { machine, security, dataDir, program } = options;
    const startAfresh = options.startAfresh ?? (() => undefined);
    const own = options.limits ?? {};
    const { signal } = this.#jobs;
    const { enclose } = options;
    this.#look = enclose === undefined ? undefined : lookBelow(dataDir, lookInside(enclose));
    const ends = { startAfresh, signal, look: this.#look };
    this.adopt = createAdoption({ security, dataDir, program, limits: own, ...ends });
    this.#drills = machine.every(this.#limits.drillLookMs, () => this.#drillIfDue());
  }

  /** Takes up what was set before. */
  begin(): void {
    const { storage, security } = this.#options;
    try {
      this.#target = readTarget(storage, security);
      if (this.#target !== null) this.#follow();
    } catch (error) {
      this.#error = error instanceof Error ? error.message : String(error);
      this.#log(`cannot replicate: ${this.#error}`);
    }
  }

  async set(from: Caller, place: Place): Promise<ReplicaStatus> {
    const { storage, security, machine } = this.#options;
    const target = targetOf(place);
    await this.#run("probe", { target });
    const write = targetWriter(target, security);
    await storage.write((tx) => write(tx, { at: machine.now(), userId: from.userId }));
    await this.#stop();
    // Where the log was shipped to before says nothing about this place.
    rmSync(join(this.#memories(), "owner"), { force: true });
    this.#forget();
    this.#target = target;
    this.#error = null;
    this.#follow();
    return this.status();
  }

  async rm(): Promise<void> {
    // One whose secret cannot be read is set all the same, and must be able to go.
    if (this.#error === null) this.#needTarget();
    await this.#options.storage.write((tx) => tx.run("DELETE FROM driver_replica"), {
      essential: true,
    });
    this.#target = null;
    await this.#stop();
    this.#error = null;
    this.#forget();
    this.#options.storage.setReplicated(false);
  }

  status(): ReplicaStatus {
    const said = this.#following?.status ?? null;
    const off = this.#target === null && this.#error === null;
    const state = off ? "off" : (said?.state ?? (this.#error === null ? "starting" : "away"));
    const named = (error: string | null) => (error === null ? null : this.#byApp(error));
    return {
      state,
      place: this.#target === null ? null : placeOf(this.#target),
      error: named(this.#error ?? said?.error ?? null),
      databases: (said?.databases ?? []).map((each) => ({ ...each, error: named(each.error) })),
      lastDrill: this.#lastDrill(),
    };
  }

  async ls(): Promise<ListedGeneration[]> {
    return (await this.#run("list")) as ListedGeneration[];
  }

  flush(): Promise<ReplicaStatus> {
    return this.#ask("flush");
  }

  snapshot(): Promise<ReplicaStatus> {
    return this.#ask("snapshot");
  }

  verify(): Promise<Drill> {
    this.#drilling ??= this.#verify().finally(() => {
      this.#drilling = null;
    });
    return this.#drilling;
  }

  async restore({ appId, at, dryRun }: RestoreApp): Promise<Plan> {
    const { apps, storage } = this.#options;
    const app = apps.get(appId);
    const database = volumeDatabase(app.id);
    if (dryRun) return (await this.#run("restore", { database, at, dryRun })) as Plan;
    this.#mustRest(app);
    if (this.#restoring) throw restoring(app);
    this.#restoring = true;
    try {
      storage.volumeDir(app.id);
      const into = roomFor(this.#options.dataDir, app.id);
      const plan = (await this.#run("restore", { database, at, into })) as Plan;
      await this.#putInPlace(app, into);
      return plan;
    } finally {
      this.#restoring = false;
    }
  }

  /** EBUSY while somebody may write to the app's volume; ENOENT. */
  #mustRest({ id }: App): void {
    const { apps, runs } = this.#options;
    const app = apps.get(id);
    if (!app.stopped || runs(app)) throw mayBeWriting(app);
  }

  async #putInPlace(app: App, into: string): Promise<void> {
    this.#swapping = true;
    try {
      await this.#stop();
      // Making it took a while, in which the app may have been started.
      this.#mustRest(app);
      swapIn(this.#options.dataDir, app.id);
    } finally {
      this.#swapping = false;
      rmSync(into, { force: true });
      this.#follow();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#jobs.abort();
    this.#drills.cancel();
    await this.#stop();
  }

  /** Text that names volumes by their apps, as people know them. */
  #byApp(text: string): string {
    return text.replaceAll(/"volumes\/([a-z0-9_]+)\.db"/g, (whole, id: string) => {
      try {
        return `"${this.#options.apps.get(id).name}"`;
      } catch {
        // It has gone; what is left of it has this name alone.
        return whole;
      }
    });
  }

  #memories(): string {
    return join(this.#options.dataDir, "run/replica");
  }

  #forget(): void {
    rmSync(join(this.#memories(), "data.db.json"), { force: true });
    rmSync(join(this.#memories(), "volumes"), { recursive: true, force: true });
  }

  /** This data directory's name in the lease: made once, and not part of any replica. */
  #owner(): string {
    const path = join(this.#memories(), "owner");
    if (existsSync(path)) return readFileSync(path, "utf8");
    const owner = this.#options.machine.id("own");
    try {
      mkdirSync(this.#memories(), { recursive: true, mode: 0o700 });
      writeFileSync(path, owner, { mode: 0o600 });
    } catch (cause) {
      throw new SysError("ENOSPC", "cannot replicate: no room for this machine's name", { cause });
    }
    return owner;
  }

  target(): Target {
    return this.#needTarget();
  }

  #needTarget(): Target {
    if (this.#target !== null) return this.#target;
    throw new SysError("ENOENT", "cannot find the replica: none is set", {
      hint: "fazt driver replica set s3://BUCKET/PREFIX",
    });
  }

  #job(job: Job["job"], more: Partial<Job> = {}): Job {
    const { dataDir, limits = {} } = this.#options;
    const target = more.target ?? this.#needTarget();
    return { job, dataDir, owner: this.#owner(), limits, ...more, target };
  }

  async #run(job: Job["job"], more: Partial<Job> = {}): Promise<unknown> {
    const what = this.#job(job, more);
    try {
      const { signal } = this.#jobs;
      return await runJob(this.#options.program, what, { signal, look: this.#look });
    } catch (error) {
      // Slow, busy, full or broken: to the caller the store did not do it, and the text says why.
      if (!(error instanceof SysError)) throw error;
      const code = told.has(error.code) ? error.code : "EIO";
      const hint = error.hint === null ? {} : { hint: error.hint };
      throw new SysError(code, this.#byApp(error.message), { ...hint, cause: error });
    }
  }

  async #ask(what: "flush" | "snapshot"): Promise<ReplicaStatus> {
    this.#needTarget();
    if (this.#following === null) {
      throw new SysError("EIO", `cannot reach the replicator: ${this.#error ?? "it is starting"}`);
    }
    await this.#following.ask(what).catch((error: SysError) => {
      const hint = error.hint === null ? {} : { hint: error.hint };
      throw new SysError(error.code, this.#byApp(error.message), { ...hint, cause: error });
    });
    return this.status();
  }

  #follow(): void {
    if (this.#closed || this.#target === null || this.#following !== null) return;
    if (this.#swapping) return;
    this.#options.storage.setReplicated(true);
    const following = new Following(this.#options.program, this.#job("follow"));
    this.#following = following;
    void following.gone.then((reason) => this.#ended(following, reason));
  }

  /** It was not asked to end: it is started again after a while. */
  #ended(following: Following, reason: string): void {
    if (this.#following !== following) return;
    this.#following = null;
    this.#error = `the replicator ended: ${reason}`;
    this.#log(this.#error);
    // What is written until the next one ships is what a kernel that dies now would not leave.
    const worked = following.status?.databases.some(({ shippedAt }) => shippedAt !== null) === true;
    const { restartMs, restartSoonMs } = this.#limits;
    this.#restart = this.#options.machine.after(worked ? restartSoonMs : restartMs, () => {
      this.#error = null;
      this.#follow();
    });
  }

  async #stop(): Promise<void> {
    this.#restart?.cancel();
    const following = this.#following;
    this.#following = null;
    const { machine } = this.#options;
    this.#ending = Promise.all([this.#ending, following?.end(machine, this.#limits.endMs)]);
    await this.#ending;
  }

  async #verify(): Promise<Drill> {
    const { machine, storage } = this.#options;
    this.#needTarget();
    const at = machine.now();
    const startedMs = machine.monotonicMs();
    const roomBytes = this.#roomBytes();
    const databases = (await this.#run("verify", { roomBytes })) as Drilled[];
    const tookMs = Math.round(machine.monotonicMs() - startedMs);
    const ok = databases.length > 0 && databases.every(({ problem }) => problem === null);
    const drill = { at, ok, tookMs, databases };
    const keep = (tx: Tx) => {
      const row = [at, ok ? 1 : 0, tookMs, JSON.stringify(databases)];
      tx.run("INSERT OR REPLACE INTO driver_drill VALUES (?, ?, ?, ?)", ...row);
      tx.run(
        "DELETE FROM driver_drill WHERE at NOT IN " +
          "(SELECT at FROM driver_drill ORDER BY at DESC LIMIT ?)",
        drillKeepRows,
      );
    };
    // A disk too full to remember a drill does not make its result another one.
    await storage.write(keep, { essential: true }).catch((error) => this.#log(String(error)));
    if (!ok) this.#log("a restore that was tried out is not good: see fazt driver replica status");
    return drill;
  }

  /** What a drill may take of the disk: one that passes its mark would stop everybody's writes. */
  #roomBytes(): number {
    const { storage } = this.#options;
    const { diskFreeBytes, diskTotalBytes } = storage.status();
    const mark = storage.limits.ls().find(({ name }) => name === "storage.diskUsedMax");
    return Math.max(0, diskFreeBytes - diskTotalBytes * (1 - (mark?.value ?? 1)));
  }

  #lastDrill(): Drill | null {
    const row = this.#options.storage.read.get<{
      at: number;
      ok: number;
      took_ms: number;
      detail: string;
    }>("SELECT at, ok, took_ms, detail FROM driver_drill ORDER BY at DESC LIMIT 1");
    if (row === null) return null;
    const databases = JSON.parse(row.detail) as Drilled[];
    return { at: row.at, ok: row.ok === 1, tookMs: row.took_ms, databases };
  }

  /** Once a day: a replica that nobody restores from is a hope. */
  #drillIfDue(): void {
    const { machine } = this.#options;
    const status = this.#following?.status ?? null;
    if (this.#target === null || status?.state !== "ok") return;
    const shipped = status.databases.some(({ snapshotAt }) => snapshotAt !== null);
    const last = this.#lastDrill();
    if (!shipped || (last !== null && machine.now() - last.at < this.#limits.drillEveryMs)) return;
    this.verify().catch((error: Error) => this.#log(`cannot try a restore out: ${error.message}`));
  }

  #log(text: string): void {
    const line = { app: "kernel", appId: null, releaseId: null, level: "error" } as const;
    this.#options.storage.logs.append({ ...line, text });
  }
}
