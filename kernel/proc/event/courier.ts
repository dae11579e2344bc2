/**
 * The courier takes due work to apps: deliveries of events and one-shots.
 *
 * Rules
 * 1. Work is removed after the app has answered, so it is done at least once, whatever happens to
 *    kernel or app meanwhile.
 * 2. An answer that is no success is tried again after 1, 10 and 60 seconds; then it is given up,
 *    and kept to be seen. An app that is down has not been asked: its work waits for it.
 * 3. To one app work begins in the order it became due, a few at a time.
 */
import type { App, Apps } from "../../app/mod.ts";
import type { Machine } from "../../machine.ts";
import type { Storage, Tx } from "../../storage/mod.ts";
import type { Proc } from "../mod.ts";
import { type Alarm, createAlarm } from "./alarm.ts";
import { downMs, perAppMax, retryJitter, retryWaitsMs, underWayMax } from "./limits.ts";
import { ask, type Errand, type Outcome } from "./request.ts";

export interface CourierOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly apps: Apps;
  readonly proc: Pick<Proc, "ask">;
  /** The app's process has no handler for this event: it is not to be sent any more. */
  unheard(app: App, name: string): void;
  note(app: App, text: string): void;
}

/** One piece of work, with its event when it is a delivery. */
interface Task {
  readonly task_id: number;
  readonly due_at: number;
  readonly attempts: number;
  readonly key: string | null;
  readonly path: string | null;
  readonly payload: string | null;
  readonly event_id: number | null;
  readonly name: string | null;
  readonly event_payload: string | null;
  readonly at: number | null;
}

const dueTasks = `
  SELECT t.task_id, t.due_at, t.attempts, t.key, t.path, t.payload, t.event_id,
    e.name, e.payload AS event_payload, e.at
  FROM event_task t LEFT JOIN event_event e ON e.event_id = t.event_id
  WHERE t.app_id = ? AND t.failed_at IS NULL AND t.due_at <= ?
  ORDER BY t.due_at, t.task_id LIMIT ?`;

/** What an app answers to an event it has no handler for. */
const unheardStatus = 501;

export class Courier {
  readonly #options: CourierOptions;
  readonly #underWay = new Map<string, Set<number>>();
  /** Apps that are down, and when they are tried again. */
  readonly #down = new Map<string, number>();
  readonly #alarm: Alarm;
  #count = 0;
  #open = true;

  constructor(options: CourierOptions) {
    this.#options = options;
    this.#alarm = createAlarm(options.machine, () => this.wake());
  }

  /** Looks for due work of every app, and at when the next will be. */
  wake(): void {
    if (!this.#open) return;
    const { machine, storage } = this.#options;
    const now = machine.now();
    const rows = storage.read.all<{ app_id: string }>(
      "SELECT DISTINCT app_id FROM event_task WHERE failed_at IS NULL AND due_at <= ?",
      now,
    );
    for (const { app_id } of rows) this.kick(app_id);
    const next = storage.read.get<{ due_at: number | null }>(
      "SELECT min(due_at) AS due_at FROM event_task WHERE failed_at IS NULL AND due_at > ?",
      now,
    );
    if (next?.due_at != null) this.#alarm.at(next.due_at);
  }

  /** Work is due at this time. */
  expect(dueAt: number): void {
    this.#alarm.at(dueAt);
  }

  /** The app runs, or may do so again. */
  revive(appId: string): void {
    if (this.#down.delete(appId)) this.kick(appId);
  }

  /** Takes what is due to an app, as far as it may have at once. */
  kick(appId: string): void {
    const { machine, storage, apps } = this.#options;
    const now = machine.now();
    const app = apps.find(appId);
    if (!this.#open || app === null || now < (this.#down.get(appId) ?? 0)) return;
    // A release without server code has nobody to take it: a later one may.
    if (app.releaseId === null || apps.release(app.releaseId).manifest.server === null) return;
    const underWay = this.#underWay.get(appId) ?? new Set();
    if (underWay.size >= perAppMax || this.#count >= underWayMax) return;
    const tasks = storage.read.all<Task>(dueTasks, appId, now, perAppMax + underWay.size);
    for (const task of tasks) {
      if (underWay.size >= perAppMax || this.#count >= underWayMax) break;
      if (underWay.has(task.task_id)) continue;
      underWay.add(task.task_id);
      this.#underWay.set(appId, underWay);
      this.#count++;
      void this.#take(app, task);
    }
  }

  async #take(app: App, task: Task): Promise<void> {
    const outcome = await ask(this.#options, app, errandOf(task));
    try {
      if (this.#open) await this.#record(app, task, outcome);
    } catch (error) {
      // Not even a removal can be written: what was done will be done again, later.
      this.#rest(app, error instanceof Error ? error.message : String(error));
    } finally {
      this.#count--;
      const underWay = this.#underWay.get(app.id);
      underWay?.delete(task.task_id);
      if (underWay?.size === 0) this.#underWay.delete(app.id);
      if (this.#count === underWayMax - 1) this.wake();
      else this.kick(app.id);
    }
  }

  async #record(app: App, task: Task, outcome: Outcome): Promise<void> {
    if (outcome.kind === "down") return this.#rest(app, outcome.reason);
    const unheard = outcome.kind === "answered" && outcome.status === unheardStatus;
    if (outcome.kind === "answered" && outcome.status < 400) return this.#done(task);
    if (unheard && task.name !== null) {
      await this.#done(task);
      this.#options.unheard(app, task.name);
      return;
    }
    const reason = outcome.kind === "answered" ? `answered ${outcome.status}` : outcome.reason;
    await this.#again(app, task, reason);
  }

  #done({ task_id }: Task): Promise<void> {
    return this.#write((tx) => tx.run("DELETE FROM event_task WHERE task_id = ?", task_id));
  }

  async #again(app: App, task: Task, reason: string): Promise<void> {
    const { machine, note } = this.#options;
    const now = machine.now();
    const wait = retryWaitsMs[task.attempts];
    const what = task.name === null ? `"${task.key}"` : `event "${task.name}"`;
    if (wait === undefined) {
      const sql =
        "UPDATE event_task SET attempts = attempts + 1, failed_at = ?, reason = ?, key = NULL WHERE task_id = ?";
      await this.#write((tx) => tx.run(sql, now, reason, task.task_id));
      note(app, `gave ${what} up after ${task.attempts + 1} attempts: ${reason}`);
      return;
    }
    const dueAt = now + Math.round(wait * (1 + retryJitter * (2 * machine.chance() - 1)));
    const sql =
      "UPDATE event_task SET attempts = attempts + 1, due_at = ?, reason = ? WHERE task_id = ?";
    await this.#write((tx) => tx.run(sql, dueAt, reason, task.task_id));
    this.#alarm.at(dueAt);
  }

  #rest(app: App, reason: string): void {
    const until = this.#options.machine.now() + downMs;
    if (!this.#down.has(app.id)) this.#options.note(app, `its events wait: ${reason}`);
    this.#down.set(app.id, until);
    this.#alarm.at(until);
  }

  async #write(work: (tx: Tx) => number): Promise<void> {
    await this.#options.storage.write(work, { essential: true });
  }

  /** Takes nothing any more. */
  close(): void {
    this.#open = false;
    this.#alarm.stop();
  }
}

function errandOf(task: Task): Errand {
  if (task.name === null) {
    const marks = { "x-fazt-schedule": task.key ?? "", "x-fazt-due-at": String(task.due_at) };
    return { path: task.path ?? "/", body: task.payload ?? "null", marks };
  }
  const marks = {
    "x-fazt-event": task.name,
    "x-fazt-event-id": String(task.event_id),
    "x-fazt-event-at": String(task.at),
  };
  return { path: "/", body: task.event_payload ?? "null", marks };
}
