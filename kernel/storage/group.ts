/**
 * Group commit: all writes that wait when the event loop comes round are one transaction, so that
 * one fsync carries them all.
 *
 * Invariants
 * 1. A promise resolves only after COMMIT returned (`synchronous=FULL`: the bytes are on the disk).
 * 2. A work that throws loses its own changes only: each has its savepoint (measured: its cost
 *    is lost in the noise beside the work itself).
 * 3. When COMMIT or the machine fails, nothing of the group is kept and every promise rejects.
 * 4. A write alone waits for the end of the event loop's turn and no longer.
 */
import { assert } from "../assert.ts";
import { type Errno, SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import { asSysError, type Engine } from "./engine.ts";
import type { StorageLimits } from "./limits.ts";
import type { SqlValue, Tx } from "./storage.ts";

interface Waiting {
  readonly work: (tx: Tx) => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What became of one work inside a transaction that has not been committed yet. */
type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; error: unknown };

/** What ends a whole group: nothing that is written next to it would fare better. */
const ofTheMachine: ReadonlySet<Errno> = new Set(["ENOSPC", "EIO", "EROFS"]);

export interface GroupOptions {
  readonly machine: Machine;
  readonly engine: Engine;
  readonly limits: StorageLimits;
  /** Told when a group failed as a whole (disk full, device error). */
  failed(error: SysError): void;
}

export class Group {
  readonly #options: GroupOptions;
  readonly #tx: ScopedTx;
  #queue: Waiting[] = [];
  #scheduled = false;
  #closed = false;
  #idle: (() => void)[] = [];
  writes = 0;
  commits = 0;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#tx = new ScopedTx(options.engine);
  }

  /** Queues a work for the next transaction. EAGAIN when too many wait, EBUSY when closed. */
  write<T>(work: (tx: Tx) => T): Promise<T> {
    if (this.#closed) {
      return Promise.reject(new SysError("EBUSY", "cannot write: the database is closing"));
    }
    if (this.#queue.length >= this.#options.limits.queueWritesMax) {
      return Promise.reject(
        new SysError("EAGAIN", `cannot write: ${this.#queue.length} writes are waiting already`, {
          hint: "write less at once, and try again",
          retryAfterMs: 1_000,
        }),
      );
    }
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ work, resolve: resolve as (value: unknown) => void, reject });
      this.#schedule();
    });
  }

  /** Refuses new writes and resolves when the waiting ones are answered. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#queue.length === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  // The end of the turn, not a timer: whoever else became ready in this turn joins the group.
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
      if (this.#queue.length > 0) this.#schedule();
      else for (const resolve of this.#idle.splice(0)) resolve();
    });
  }

  #flush(): void {
    const group: Waiting[] = [];
    const outcomes: Outcome[] = [];
    try {
      this.#options.engine.run("BEGIN IMMEDIATE");
      this.#runWorks(group, outcomes);
      this.#options.engine.run("COMMIT");
    } catch (error) {
      this.#abandon(group, error);
      return;
    }
    this.commits++;
    this.writes += group.length;
    for (const [i, waiting] of group.entries()) {
      const outcome = outcomes[i];
      assert(outcome !== undefined, "every work of a group has an outcome");
      if (outcome.ok) waiting.resolve(outcome.value);
      else waiting.reject(outcome.error);
    }
  }

  #runWorks(group: Waiting[], outcomes: Outcome[]): void {
    const { machine, limits } = this.#options;
    const until = machine.monotonicMs() + limits.groupMsMax;
    let taken = 0;
    try {
      for (const waiting of this.#queue) {
        if (taken >= limits.groupWritesMax) break;
        if (taken > 0 && machine.monotonicMs() > until) break;
        taken++;
        group.push(waiting);
        outcomes.push(this.#saved(waiting));
      }
    } finally {
      this.#queue = this.#queue.slice(taken);
    }
  }

  #saved({ work }: Waiting): Outcome {
    const { engine } = this.#options;
    engine.run("SAVEPOINT work");
    try {
      const value = this.#tx.during(work);
      engine.run("RELEASE work");
      return { ok: true, value };
    } catch (error) {
      const failure = asSysError(error, "cannot write");
      if (failure !== null && ofTheMachine.has(failure.code)) throw failure;
      assert(engine.inTransaction(), `a work leaves its transaction open: ${error}`);
      engine.run("ROLLBACK TO work");
      engine.run("RELEASE work");
      return { ok: false, error: failure ?? error };
    }
  }

  #abandon(group: Waiting[], error: unknown): void {
    const { engine } = this.#options;
    if (engine.inTransaction()) {
      try {
        engine.run("ROLLBACK");
      } catch {
        // The failure that brought us here is the one to report; the next BEGIN shows a second.
      }
    }
    const failure = error instanceof SysError ? error : asSysError(error, "cannot write");
    if (failure !== null) this.#options.failed(failure);
    // BEGIN itself failed: nobody was taken yet, and everybody who waits must hear of it.
    const refused = group.length > 0 ? group : this.#queue.splice(0);
    for (const waiting of refused) waiting.reject(failure ?? error);
  }
}

/** The engine as a work sees it: good only while the work runs. */
class ScopedTx implements Tx {
  readonly #engine: Engine;
  #active = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  during(work: (tx: Tx) => unknown): unknown {
    this.#active = true;
    try {
      const value = work(this);
      assert(!(value instanceof Promise), "a work is synchronous");
      return value;
    } finally {
      this.#active = false;
    }
  }

  get<T>(sql: string, ...values: SqlValue[]): T | null {
    return this.#use().get<T>(sql, ...values);
  }

  all<T>(sql: string, ...values: SqlValue[]): T[] {
    return this.#use().all<T>(sql, ...values);
  }

  run(sql: string, ...values: SqlValue[]): number {
    return this.#use().run(sql, ...values);
  }

  #use(): Engine {
    assert(this.#active, "a transaction is used only inside its work");
    return this.#engine;
  }
}
