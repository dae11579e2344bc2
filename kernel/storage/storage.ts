/**
 * The storage domain's interface, what the rest of the kernel may do with the one database, and
 * its factory: takes the data directory, opens the database, brings its schema up to date.
 *
 * Rules: every change goes through `write`, which answers only when its bytes are on the disk;
 * work functions are synchronous and touch only their own domain's tables; reads see every write
 * that was acknowledged. Callers never hold a statement or a cursor across an await.
 */
import { statSync } from "node:fs";
import { assert } from "../assert.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import {
  type Adjustable,
  type AdjustableOf,
  AllAdjustable,
  createAdjustable,
  storageNames,
} from "./adjustable.ts";
import {
  type BackupOptions,
  createBackups,
  createDuplicate,
  type Duplicate,
  finishRestore,
  type VolumeCopy,
} from "./backup/mod.ts";
import { type Checks, createChecks, type Look } from "./check/mod.ts";
import { type DataDir, dropBallast, takeDataDir } from "./datadir.ts";
import { Disk } from "./disk.ts";
import { createDocs, type Docs } from "./doc/mod.ts";
import { type Engine, openEngine } from "./engine.ts";
import { Group } from "./group.ts";
import { createKv, type Kv } from "./kv.ts";
import { type StorageLimits, limits as standardLimits } from "./limits.ts";
import { createLogRing, type LogRing, type OwnedLogRing } from "./log.ts";
import {
  applyMigrations,
  claimDatabase,
  type Migration,
  type MigrationState,
  migrationStates,
  schemaVersion,
} from "./migrate.ts";
import { createProvenance, type Provenance } from "./provenance.ts";
import { migrations as ownMigrations } from "./schema.ts";
import { createTransact, type Transact } from "./transact.ts";
import { type Collected, Collection, giveBackPages, type OwnedTable, ownersOf } from "./upkeep.ts";

/** What SQLite stores and gives back. Integers are JS numbers within ±2^53. */
export type SqlValue = string | number | null | Uint8Array;
export type SqlRow = Record<string, SqlValue>;

/** Reading: statements are prepared once per SQL text and cached. */
export interface Reader {
  get<T>(sql: string, ...values: SqlValue[]): T | null;
  all<T>(sql: string, ...values: SqlValue[]): T[];
}

/** Writing, only inside `write`. `run` answers the number of rows changed. */
export interface Tx extends Reader {
  run(sql: string, ...values: SqlValue[]): number;
}

export interface WriteOptions {
  /**
   * Goes through in read-only mode too: for what frees space, lets the owner in or records what
   * was done (removals, sessions, audit). Never for what an app could grow without end.
   */
  readonly essential?: boolean;
}

/** `normal` takes writes; `read-only` refuses them with ENOSPC (disk at the mark). */
export type StorageMode = "normal" | "read-only";

export interface StorageStatus {
  readonly mode: StorageMode;
  readonly dataDir: string;
  readonly schemaVersion: number;
  readonly databaseBytes: number;
  readonly walBytes: number;
  readonly diskFreeBytes: number;
  readonly diskTotalBytes: number;
  /** Acknowledged write requests and the transactions that carried them. */
  readonly writes: number;
  readonly commits: number;
}

/** What a database check found; `ok` is true when `problems` is empty. */
export interface StorageCheck {
  readonly ok: boolean;
  readonly problems: string[];
  readonly tables: { readonly name: string; readonly rows: number }[];
}

/** What a domain looks at in a check, and what it says of whom rows and volumes belong to. */
export interface OwnLooks {
  /** Queries whose rows are faults, each with a `what`; they run in another process. */
  readonly sql?: readonly Omit<Look, "domain">[];
  readonly owners?: (owned: Iterable<OwnedTable>) => Iterable<string>;
}

export interface Storage {
  readonly read: Reader;
  readonly kv: Kv;
  /** The limits its owner may change, all domains': read when they are used, so a change is live. */
  readonly limits: Adjustable;
  /** Offers a domain's limits to the owner; takes up what was changed before. */
  adjust<N extends string>(of: AdjustableOf<N>): Adjustable;
  readonly docs: Docs;
  /** Several changes of keys and documents, all or none, in one durable write. */
  readonly transact: Transact;
  readonly logs: LogRing;
  /** What users left, to be told and erased. */
  readonly users: Provenance;
  /**
   * Runs `work` inside the next transaction of the group and resolves once it is fsynced
   * (`synchronous=FULL`). When `work` throws, its own changes alone are rolled back and the
   * promise rejects with what it threw. Throws ENOSPC (disk full or at the mark), EIO, EAGAIN
   * (too many writes wait already).
   */
  write<T>(work: (tx: Tx) => T, options?: WriteOptions): Promise<T>;
  status(): StorageStatus;
  /** Whether writes that are not essential go through: the disk is below its mark. */
  writable(): boolean;
  /** Lets go of pages and statements kept for speed. */
  dropCaches(): void;
  /** The steps of the schema: applied, pending, or applied by a newer binary. */
  migrations(): MigrationState[];
  check(): Promise<StorageCheck>;
  /** Registers a domain's own looks for `check`, once a domain. */
  onCheck(domain: string, looks: OwnLooks): void;
  /** Every app that any table or volume holds something of. */
  owners(): Iterable<OwnedTable>;
  /**
   * While true no commit copies the log into the file: a replicator does, in a process of its own,
   * once it has read it.
   */
  setReplicated(replicated: boolean): void;
  /** Directory of an app's SQL volume (`app.db` within), made when it is absent. */
  volumeDir(appId: string): string;
  /** Bytes an app's volume may have. */
  readonly volumeBytesMax: number;
  /** A copy of an app's volume as it is now, to try something on. ENOSPC, EBUSY, EBADMSG, EIO. */
  copyVolume(appId: string): Promise<VolumeCopy>;
  /** Deletes an app's volume for good. */
  dropVolume(appId: string): Promise<void>;
  /**
   * The bytes of a backup of this moment, while everything goes on. EBUSY (one is under way),
   * EINVAL (recipients), EAGAIN (the receiver is too slow).
   */
  backup(options: BackupOptions): Promise<ReadableStream<Uint8Array>>;
  /** Registers work to be done by `gc`, which reports what it freed; also done by the clock. */
  onGc(name: string, collect: () => Promise<GcReport>): void;
  gc(): Promise<Collected[]>;
  /**
   * Lets the next kernel have the data directory while this one answers what is under way. From
   * here on this kernel begins nothing by itself.
   */
  yieldDirectory(): void;
  /** Whether another kernel may have the directory: what is in hand is no longer known here alone. */
  readonly yielded: boolean;
  /** Waits for the queue, checkpoints and closes. Idempotent. */
  close(): Promise<void>;
}

export interface GcReport {
  readonly rows: number;
  readonly bytes: number;
}

export interface StorageOptions {
  readonly machine: Machine;
  readonly dataDir: string;
  /** The schema of all domains that use this storage; storage's own steps may be left out. */
  readonly migrations: readonly Migration[];
  /** The command line of this very program, without its words; needed to make backups. */
  readonly program?: readonly string[];
  /** Limits other than the standard ones. */
  readonly limits?: Partial<StorageLimits>;
}

/**
 * Opens storage on a data directory, which is made when it is absent. EBUSY (another kernel runs
 * on it), EBADMSG (not ours, or corrupt), EACCES, EROFS, ENOTDIR, ENOSPC, EIO.
 */
export function createStorage(options: StorageOptions): Storage {
  try {
    return open(options);
  } catch (error) {
    const full = error instanceof SysError && error.code === "ENOSPC";
    if (!full || !dropBallast(options.dataDir)) throw error;
    return open(options);
  }
}

function open(options: StorageOptions): Storage {
  const { machine } = options;
  const limits: StorageLimits = { ...standardLimits, ...options.limits };
  const migrations = withOwn(options.migrations);
  const dataDir = takeDataDir(options.dataDir);
  const opened: { close(): void }[] = [{ close: () => dataDir.release() }];
  try {
    finishRestore(dataDir.path);
    const engine = openEngine({ path: dataDir.database, synchronous: "FULL", limits });
    opened.push(engine);
    // Until boot is done nobody knows whether a replicator has read what the last run left behind.
    engine.exec("PRAGMA wal_autocheckpoint = 0");
    claimDatabase(engine, dataDir.database);
    applyMigrations(engine, migrations, () => machine.now());
    const logs = createLogRing({ machine, path: dataDir.logs, limits });
    const program = options.program ?? [];
    return new OpenStorage({ machine, limits, migrations, dataDir, engine, logs, program });
  } catch (error) {
    for (const each of opened.reverse()) each.close();
    throw error;
  }
}

function withOwn(migrations: readonly Migration[]): Migration[] {
  return [...ownMigrations.filter((own) => !migrations.includes(own)), ...migrations];
}

interface Parts {
  readonly machine: Machine;
  readonly limits: StorageLimits;
  readonly migrations: readonly Migration[];
  readonly dataDir: DataDir;
  readonly engine: Engine;
  readonly logs: OwnedLogRing;
  readonly program: readonly string[];
}

class OpenStorage implements Storage {
  readonly read: Storage["read"];
  readonly kv: Storage["kv"];
  readonly users: Storage["users"];
  readonly docs: Storage["docs"];
  readonly transact: Storage["transact"];
  readonly limits = new AllAdjustable();
  readonly logs: Storage["logs"];
  readonly #parts: Parts;
  readonly #disk: Disk;
  readonly #group: Group;
  readonly #looks = new Map<string, OwnLooks>();
  readonly #checks: Checks;
  readonly #duplicate: Duplicate;
  readonly #collection: Collection;
  readonly #backups: ReturnType<typeof createBackups>;
  readonly #sweep: { cancel(): void };
  #closing: Promise<void> | null = null;
  /** Whether somebody has said who copies the log. */
  #logTaken = false;
  yielded = false;

  constructor(parts: Parts) {
    const { machine, limits, dataDir, engine, logs } = parts;
    this.#parts = parts;
    this.#disk = new Disk({ machine, path: dataDir.path, limits });
    this.#group = new Group({ machine, engine, limits, failed: (error) => this.#failed(error) });
    this.#collection = new Collection({ machine, limits });
    this.read = { get: engine.get.bind(engine), all: engine.all.bind(engine) };
    this.logs = logs;
    const write = this.write.bind(this);
    const own = { domain: "storage", limits, names: storageNames };
    this.adjust(own);
    const kv = createKv({ machine, limits, read: this.read, write });
    this.kv = kv;
    this.docs = createDocs({ machine, limits, read: this.read, write });
    this.transact = createTransact({ kv, docs: this.docs, write });
    this.users = createProvenance({ read: this.read, write });
    this.users.onErase("storage", (tx, userId) => eraseContent(tx, userId, this));
    const { path } = dataDir;
    const warn = (text: string) => this.#log("warn", text);
    this.#backups = createBackups({ machine, limits, dataDir: path, program: parts.program, warn });
    const { program } = parts;
    this.#duplicate = createDuplicate({ machine, dataDir: dataDir.path, program });
    this.#checks = createChecks({ database: dataDir.database, read: this.read, program });
    this.onGc("kv", async () => ({ rows: await kv.sweep(), bytes: 0 }));
    setImmediate(() => {
      if (!this.#logTaken && this.#closing === null) this.setReplicated(false);
    });
    this.#keepBallast();
    this.#sweep = machine.every(limits.kvSweepMs, () => this.#tidy(kv.sweep));
  }

  adjust<N extends string>(of: AdjustableOf<N>): Adjustable {
    const { machine } = this.#parts;
    const made = createAdjustable(of, { machine, read: this.read, write: this.write.bind(this) });
    return this.limits.add(of.domain, made);
  }

  write<T>(work: (tx: Tx) => T, options: WriteOptions = {}): Promise<T> {
    if (options.essential !== true && !this.writable()) {
      return Promise.reject(
        new SysError("ENOSPC", "cannot write: the data partition is nearly full", {
          hint: "remove files, apps or old releases, run `fazt storage gc`, or add disk",
        }),
      );
    }
    return this.#group.write(work);
  }

  status(): StorageStatus {
    const { dataDir, engine } = this.#parts;
    const { freeBytes, totalBytes } = this.#disk.figures();
    const size = engine.get<{ bytes: number }>(
      "SELECT c.page_count * s.page_size AS bytes FROM pragma_page_count c, pragma_page_size s",
    );
    return {
      mode: this.#disk.mode(),
      dataDir: dataDir.path,
      schemaVersion: schemaVersion(engine),
      databaseBytes: size?.bytes ?? 0,
      walBytes: statSync(`${dataDir.database}-wal`, { throwIfNoEntry: false })?.size ?? 0,
      diskFreeBytes: freeBytes,
      diskTotalBytes: totalBytes,
      writes: this.#group.writes,
      commits: this.#group.commits,
    };
  }

  writable(): boolean {
    return this.#disk.mode() === "normal";
  }

  dropCaches(): void {
    this.#parts.engine.exec("PRAGMA shrink_memory");
  }

  migrations() {
    return migrationStates(this.#parts.engine, this.#parts.migrations);
  }

  async check() {
    const all = [...this.#looks].flatMap(([domain, { sql = [] }]) =>
      sql.map((look) => ({ domain, ...look })),
    );
    const { problems, tables, owners } = await this.#checks.run(all);
    const found = [...problems];
    const owned = [...owners, ...this.#volumeOwners()];
    for (const [domain, looks] of this.#looks) {
      for (const problem of looks.owners?.(owned) ?? []) found.push(`${domain}: ${problem}`);
    }
    const { checkProblemsMax } = this.#parts.limits;
    return { ok: found.length === 0, problems: found.slice(0, checkProblemsMax), tables };
  }

  onCheck(domain: string, looks: OwnLooks): void {
    assert(!this.#looks.has(domain), `the check of "${domain}" is registered once`);
    this.#looks.set(domain, looks);
  }

  *owners() {
    yield* ownersOf(this.read);
    yield* this.#volumeOwners();
  }

  *#volumeOwners() {
    for (const appId of this.#parts.dataDir.volumes()) yield { table: "volumes", appId };
  }

  get volumeBytesMax(): number {
    return this.#parts.limits.volumeBytesMax;
  }

  setReplicated(replicated: boolean): void {
    const { engine, limits } = this.#parts;
    this.#logTaken = true;
    const pages = replicated ? 0 : limits.walCheckpointPages;
    engine.exec(`PRAGMA wal_autocheckpoint = ${pages}`);
  }

  volumeDir(appId: string): string {
    return this.#parts.dataDir.volume(appId);
  }

  copyVolume(appId: string): Promise<VolumeCopy> {
    return this.#duplicate(this.volumeDir(appId));
  }

  dropVolume(appId: string): Promise<void> {
    return this.#parts.dataDir.dropVolume(appId);
  }

  backup(options: BackupOptions): Promise<ReadableStream<Uint8Array>> {
    const sealed = options.passphrase !== null || options.recipients.length > 0;
    this.#log("info", `backup begun, ${sealed ? "encrypted" : "not encrypted"}`);
    return this.#backups.start(options);
  }

  onGc(name: string, collect: () => Promise<GcReport>): void {
    this.#collection.add(name, collect);
  }

  async gc() {
    const reports = await this.#collection.run();
    const pages = { name: "pages", rows: 0, bytes: await this.#giveBack() };
    this.#disk.lookAgain();
    return [...reports, pages];
  }

  yieldDirectory(): void {
    this.yielded = true;
    this.#sweep.cancel();
    this.#backups.stop();
    this.#parts.dataDir.release();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { engine, logs, dataDir } = this.#parts;
    this.#sweep.cancel();
    this.#backups.stop();
    this.#checks.stop();
    await this.#group.close();
    logs.close();
    engine.close();
    dataDir.release();
  }

  #giveBack(): Promise<number> {
    const { engine, limits } = this.#parts;
    return giveBackPages({ engine, limits, write: this.write.bind(this) });
  }

  /** The periodic work: expired keys, what is nobody's, and, on a full disk, free pages. */
  #tidy(sweep: () => Promise<number>): void {
    this.#keepBallast();
    const full = this.#disk.mode() === "read-only";
    const work = async (): Promise<void> => {
      await sweep();
      if (this.#collection.due(full)) await this.#collection.run();
      if (full) await this.#giveBack();
    };
    // What the machine refused #failed has told; the next round tries again.
    work().catch((error: unknown) => {
      if (!(error instanceof SysError)) this.#log("error", `cannot tidy up: ${error}`);
    });
  }

  #keepBallast(): void {
    const { dataDir, limits } = this.#parts;
    if (this.#disk.mode() === "normal") dataDir.keepBallast(limits.ballastBytes);
  }

  #failed(error: SysError): void {
    if (error.code === "ENOSPC") {
      // Room for what is essential; from here on the mode lets nothing else through.
      dropBallast(this.#parts.dataDir.path);
      this.#disk.lookAgain();
    }
    this.#log("error", `${error.code}: ${error.message}`);
  }

  #log(level: "info" | "warn" | "error", text: string): void {
    this.#parts.logs.append({ app: "kernel", appId: null, releaseId: null, level, text });
  }
}

/** Removes the pairs and documents a user wrote last, index entries and all. */
function eraseContent(tx: Tx, userId: string, { kv, docs }: Pick<Storage, "kv" | "docs">): number {
  type Written = { app_id: string; key: string; collection: string };
  const pairs = tx.all<Written>("SELECT app_id, key FROM storage_kv WHERE user_id = ?", userId);
  for (const { app_id: appId, key } of pairs) kv.plan.rm({ appId, userId }, key)(tx);
  const documents = tx.all<Written>(
    "SELECT app_id, collection, id AS key FROM storage_doc WHERE user_id = ?",
    userId,
  );
  for (const { app_id: appId, collection, key: id } of documents) {
    docs.plan.rm({ appId, userId }, { collection, id })(tx);
  }
  return pairs.length + documents.length;
}
