/**
 * The journal of events: one durable write puts down an event and one delivery for each that
 * hears it.
 *
 * Rules: an emitter has a rate and a room; when the room is full, its oldest events that nobody
 * waits for go, and when everything is waited for it is refused, so that nothing accepted is lost;
 * a subscriber with too much waiting loses the new delivery, never an emitter its event.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Storage, Tx } from "../../storage/mod.ts";
import type { EventInfo } from "./event.ts";
import {
  emitsPerSecond,
  keepMs,
  keptBytesMax,
  keptEventsMax,
  payloadBytesMax,
  sweepRowsMax,
  trimEvents,
  waitingMax,
} from "./limits.ts";

/** An event about to be put down. */
export interface Draft {
  /** "" for the system. */
  readonly appId: string;
  readonly userId: string | null;
  readonly name: string;
  readonly json: string;
  readonly hearers: readonly string[];
}

export interface Journal {
  /** EAGAIN when the emitter is over its rate. */
  pace(appId: string, name: string): void;
  /** EDQUOT. Answers its id, and those whose delivery was dropped. */
  put(draft: Draft): Promise<{ id: number; dropped: readonly string[] }>;
  ls(query: { appId?: string | undefined; limit: number }): EventInfo[];
  /** Removes what is older than seven days. */
  sweep(): Promise<void>;
  /** Removes everything of an app that is gone. */
  erase(appId: string): Promise<void>;
}

/** The payload as JSON. EFBIG, EINVAL. */
export function encodePayload(name: string, payload: unknown): string {
  const json = JSON.stringify(payload === undefined ? null : payload);
  const bytes = Buffer.byteLength(json);
  if (bytes <= payloadBytesMax) return json;
  const state = `the payload has ${bytes} bytes, the limit is ${payloadBytesMax}`;
  throw new SysError("EFBIG", `cannot send "${name}": ${state}`, {
    hint: "keep large content in files or pairs and send its name",
  });
}

export function createJournal(parts: { machine: Machine; storage: Storage }): Journal {
  const { machine, storage } = parts;
  const buckets = new Map<string, { left: number; at: number }>();
  return {
    pace(appId, name) {
      const now = machine.monotonicMs();
      const bucket = buckets.get(appId) ?? { left: emitsPerSecond, at: now };
      buckets.set(appId, bucket);
      const earned = ((now - bucket.at) / 1000) * emitsPerSecond;
      bucket.left = Math.min(emitsPerSecond, bucket.left + earned);
      bucket.at = now;
      if (bucket.left < 1) {
        throw new SysError("EAGAIN", `cannot emit "${name}": over ${emitsPerSecond} a second`, {
          hint: "gather what belongs together into one event",
          retryAfterMs: 1000 / emitsPerSecond,
        });
      }
      bucket.left--;
    },
    put: (draft) => storage.write((tx) => put(tx, draft, machine.now())),
    ls: (query) => list(storage, query),
    async sweep() {
      const before = machine.now() - keepMs;
      while ((await storage.write((tx) => sweep(tx, before), { essential: true })) > 0);
    },
    async erase(appId) {
      buckets.delete(appId);
      await storage.write((tx) => erase(tx, appId), { essential: true });
    },
  };
}

function put(tx: Tx, draft: Draft, at: number): { id: number; dropped: string[] } {
  const { appId, userId, name, json, hearers } = draft;
  makeRoom(tx, draft);
  const row = tx.get<{ event_id: number }>(
    `INSERT INTO event_event (app_id, user_id, name, payload, at) VALUES (?, ?, ?, ?, ?)
     RETURNING event_id`,
    appId,
    userId,
    name,
    json,
    at,
  );
  const id = row?.event_id ?? 0;
  tx.run(
    `INSERT INTO event_room VALUES (?1, 1, ?2) ON CONFLICT (app_id) DO UPDATE
     SET events = events + 1, bytes = bytes + excluded.bytes`,
    appId,
    json.length,
  );
  const dropped = hearers.filter((hearer) => waits(tx, hearer) >= waitingMax);
  for (const hearer of hearers) {
    if (dropped.includes(hearer)) continue;
    tx.run(
      "INSERT INTO event_task (app_id, user_id, event_id, created_at, due_at) VALUES (?, ?, ?, ?, ?)",
      hearer,
      userId,
      id,
      at,
      at,
    );
  }
  return { id, dropped };
}

/** Counted only up to the limit, on an index that holds nothing but what waits. */
function waits(tx: Tx, appId: string): number {
  const sql = `SELECT count(*) AS n FROM (
    SELECT 1 FROM event_task WHERE app_id = ? AND failed_at IS NULL LIMIT ${waitingMax})`;
  return tx.get<{ n: number }>(sql, appId)?.n ?? 0;
}

function makeRoom(tx: Tx, { appId, name, json }: Draft): void {
  const room = "SELECT events, bytes FROM event_room WHERE app_id = ?";
  const used = tx.get<{ events: number; bytes: number }>(room, appId);
  if (used === null) return;
  if (used.events < keptEventsMax && used.bytes + json.length <= keptBytesMax) return;
  const gone = tx.all<{ bytes: number }>(
    `DELETE FROM event_event WHERE event_id IN (
       SELECT event_id FROM event_event e WHERE app_id = ?1 AND NOT EXISTS (
         SELECT 1 FROM event_task t WHERE t.event_id = e.event_id AND t.failed_at IS NULL)
       ORDER BY event_id LIMIT ${trimEvents})
     RETURNING length(payload) AS bytes`,
    appId,
  );
  if (gone.length === 0) {
    throw new SysError("EDQUOT", `cannot emit "${name}": too many events wait to be taken`, {
      hint: "fazt proc events shows who has not taken them",
    });
  }
  giveBack(tx, appId, {
    events: gone.length,
    bytes: gone.reduce((sum, one) => sum + one.bytes, 0),
  });
}

function giveBack(tx: Tx, appId: string, of: { events: number; bytes: number }): void {
  const sql = "UPDATE event_room SET events = events - ?, bytes = bytes - ? WHERE app_id = ?";
  tx.run(sql, of.events, of.bytes, appId);
}

function sweep(tx: Tx, before: number): number {
  const tasks = tx.run(
    `DELETE FROM event_task WHERE task_id IN (SELECT task_id FROM event_task
       WHERE created_at < ?1 AND (event_id IS NOT NULL OR failed_at < ?1) LIMIT ${sweepRowsMax})`,
    before,
  );
  const gone = tx.all<{ app_id: string; bytes: number }>(
    `DELETE FROM event_event WHERE event_id IN (
       SELECT event_id FROM event_event WHERE at < ? LIMIT ${sweepRowsMax})
     RETURNING app_id, length(payload) AS bytes`,
    before,
  );
  for (const { app_id, bytes } of gone) giveBack(tx, app_id, { events: 1, bytes });
  return tasks + gone.length;
}

function erase(tx: Tx, appId: string): void {
  tx.run("DELETE FROM event_task WHERE app_id = ?", appId);
  tx.run("DELETE FROM event_cron WHERE app_id = ?", appId);
  tx.run("DELETE FROM event_subscription WHERE app_id = ?", appId);
  tx.run(
    `DELETE FROM event_task WHERE event_id IN (
       SELECT event_id FROM event_event WHERE app_id = ?)`,
    appId,
  );
  tx.run("DELETE FROM event_event WHERE app_id = ?", appId);
  tx.run("DELETE FROM event_room WHERE app_id = ?", appId);
}

interface EventRow {
  readonly event_id: number;
  readonly name: string;
  readonly at: number;
  readonly payload: string;
  readonly waiting: number;
  readonly failed: number;
}

function list(
  storage: Storage,
  { appId, limit }: { appId?: string | undefined; limit: number },
): EventInfo[] {
  const rows = storage.read.all<EventRow>(
    `SELECT e.event_id, e.name, e.at, e.payload,
       count(t.task_id) FILTER (WHERE t.failed_at IS NULL) AS waiting, count(t.failed_at) AS failed
     FROM event_event e LEFT JOIN event_task t ON t.event_id = e.event_id
     WHERE ?1 IS NULL OR e.app_id = ?1
     GROUP BY e.event_id ORDER BY e.event_id DESC LIMIT ?2`,
    appId ?? null,
    limit,
  );
  return rows.map(({ event_id: id, name, at, payload, waiting, failed }) => {
    return { id, name, at, payload: JSON.parse(payload), waiting, failed };
  });
}
