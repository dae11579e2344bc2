/**
 * The timetable: the cron entries of current releases, as rows with the time of their next run.
 *
 * Rules
 * 1. The next time is written before a run begins, and that it runs; so a kernel that dies knows
 *    at its next start which runs were cut.
 * 2. A run that is due while the one before goes on is passed over, and logged.
 * 3. A run that was missed by more than a minute, or cut, is made up for once (`missed: "run"`) or
 *    not at all (`missed: "skip"`); several missed are one.
 */
import type { App, Apps } from "../../app/mod.ts";
import { nextRun, readCron } from "../../cron.ts";
import type { Machine } from "../../machine.ts";
import type { Storage, Tx } from "../../storage/mod.ts";
import type { Proc } from "../mod.ts";
import { type Alarm, createAlarm } from "./alarm.ts";
import { cronUnderWayMax, missedAfterMs } from "./limits.ts";
import { ask, type Outcome } from "./request.ts";

export interface TimetableOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly apps: Apps;
  readonly proc: Pick<Proc, "ask">;
  note(app: App, text: string): void;
}

interface CronRow {
  readonly cron_id: number;
  readonly app_id: string;
  readonly schedule: string;
  readonly zone: string;
  readonly path: string;
  readonly missed: string;
  readonly due_at: number;
  readonly running_due: number | null;
}

export class Timetable {
  readonly #options: TimetableOptions;
  readonly #alarm: Alarm;
  /** Entries that run, or wait for their turn. */
  readonly #running = new Set<number>();
  #queue: (() => void)[] = [];
  #underWay = 0;
  #open = true;

  constructor(options: TimetableOptions) {
    this.#options = options;
    this.#alarm = createAlarm(options.machine, () => void this.wake());
  }

  /** At boot: runs that were cut, then what is due. */
  async begin(): Promise<void> {
    const { storage } = this.#options;
    const cut = storage.read.all<CronRow>("SELECT * FROM event_cron WHERE running_due IS NOT NULL");
    for (const row of cut) {
      if (row.missed === "run") void this.#run(row, row.running_due ?? row.due_at);
      else await this.#ended(row, null);
    }
    await this.wake();
  }

  /** Runs what is due and looks at when the next will be. */
  async wake(): Promise<void> {
    if (!this.#open) return;
    const { machine, storage } = this.#options;
    const now = machine.now();
    const due = storage.read.all<CronRow>("SELECT * FROM event_cron WHERE due_at <= ?", now);
    for (const row of due) await this.#due(row, now);
    const next = storage.read.get<{ due_at: number | null }>(
      "SELECT min(due_at) AS due_at FROM event_cron",
    );
    if (next?.due_at != null) this.#alarm.at(next.due_at);
  }

  async #due(row: CronRow, now: number): Promise<void> {
    const { storage, apps, note } = this.#options;
    const next = nextRun(readCron(row.schedule), { afterMs: now, zone: row.zone });
    const overlaps = this.#running.has(row.cron_id);
    const skipped = now - row.due_at > missedAfterMs && row.missed === "skip";
    const runs = next !== null && !overlaps && !skipped;
    await storage.write(
      (tx) => {
        if (next === null) return tx.run("DELETE FROM event_cron WHERE cron_id = ?", row.cron_id);
        const sql = `UPDATE event_cron SET due_at = ?1,
          running_due = iif(?2, ?3, running_due) WHERE cron_id = ?4`;
        return tx.run(sql, next, runs ? 1 : 0, row.due_at, row.cron_id);
      },
      { essential: true },
    );
    const app = apps.find(row.app_id);
    if (overlaps && app !== null) {
      note(app, `cron "${row.schedule}" ${row.path}: passed over, the run before goes on`);
    }
    if (runs) void this.#run(row, row.due_at);
  }

  async #run(row: CronRow, dueAt: number): Promise<void> {
    if (this.#running.has(row.cron_id)) return;
    this.#running.add(row.cron_id);
    try {
      await this.#turn();
      const app = this.#options.apps.find(row.app_id);
      if (app === null || !this.#open) return;
      const marks = { "x-fazt-cron": row.schedule, "x-fazt-due-at": String(dueAt) };
      const outcome = await ask(this.#options, app, { path: row.path, body: "null", marks });
      // A kernel that is closing has cut the run: its next start will see to it.
      if (this.#open) await this.#ended(row, outcome);
      this.#tell(app, row, outcome);
    } finally {
      this.#running.delete(row.cron_id);
      this.#underWay--;
      this.#queue.shift()?.();
    }
  }

  /** Waits until there are few enough runs under way. */
  async #turn(): Promise<void> {
    if (this.#underWay >= cronUnderWayMax) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    }
    this.#underWay++;
  }

  async #ended(row: CronRow, outcome: Outcome | null): Promise<void> {
    const { machine } = this.#options;
    const status = outcome?.kind === "answered" ? outcome.status : null;
    const sql = `UPDATE event_cron SET running_due = NULL, last_at = coalesce(?, last_at),
      last_status = coalesce(?, last_status) WHERE cron_id = ?`;
    const at = outcome === null ? null : machine.now();
    await this.#essential((tx) => tx.run(sql, at, status, row.cron_id));
  }

  #tell(app: App, { schedule, path }: CronRow, outcome: Outcome): void {
    if (outcome.kind === "answered" && outcome.status < 400) return;
    const why = outcome.kind === "answered" ? `answered ${outcome.status}` : outcome.reason;
    this.#options.note(app, `cron "${schedule}" ${path}: ${why}`);
  }

  /** Brings the rows of an app to what its current release says. */
  async follow(app: App): Promise<void> {
    const { machine, storage, apps } = this.#options;
    const release = app.releaseId === null ? null : apps.release(app.releaseId);
    const wanted = release?.manifest.server == null ? [] : release.manifest.cron;
    const rows = storage.read.all<CronRow>("SELECT * FROM event_cron WHERE app_id = ?", app.id);
    if (wanted.length === 0 && rows.length === 0) return;
    const key = (of: { schedule: string; zone: string; path: string }) =>
      JSON.stringify([of.schedule, of.zone, of.path]);
    const asked = new Set(wanted.map(key));
    const now = machine.now();
    await this.#essential((tx) => {
      for (const row of rows) {
        if (asked.has(key(row))) continue;
        tx.run("DELETE FROM event_cron WHERE cron_id = ?", row.cron_id);
      }
      for (const { schedule, zone, path, missed } of wanted) {
        const dueAt = nextRun(readCron(schedule), { afterMs: now, zone });
        if (dueAt === null) continue;
        tx.run(
          `INSERT INTO event_cron (app_id, schedule, zone, path, missed, due_at)
           VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (app_id, schedule, zone, path)
           DO UPDATE SET missed = excluded.missed`,
          ...[app.id, schedule, zone, path, missed, dueAt],
        );
      }
      return 0;
    });
    await this.wake();
  }

  /** Takes the entries of an app away. */
  async drop(appId: string): Promise<void> {
    await this.#essential((tx) => tx.run("DELETE FROM event_cron WHERE app_id = ?", appId));
  }

  async #essential(work: (tx: Tx) => number): Promise<void> {
    await this.#options.storage.write(work, { essential: true });
  }

  /** Begins nothing any more. */
  close(): void {
    this.#open = false;
    this.#alarm.stop();
  }
}
