/**
 * event's tables. Append-only: a released migration never changes.
 *
 * `event_task` is work for an app that is due at a time: one delivery of an event to one
 * subscriber (`event_id`), or a one-shot the app set itself (`key`, `path`). Done work is removed;
 * work given up stays with `failed_at` until its seven days are over. `event_room` counts what an
 * emitter's events take, so that its limit costs one look. System events have the app_id "".
 */
import type { Migration } from "../../storage/mod.ts";

const sql = `
  CREATE TABLE event_event (
    event_id INTEGER PRIMARY KEY,
    app_id TEXT NOT NULL,
    user_id TEXT,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX event_event_by_app ON event_event (app_id);
  CREATE INDEX event_event_by_time ON event_event (at);
  CREATE TABLE event_room (
    app_id TEXT NOT NULL PRIMARY KEY,
    events INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE event_subscription (
    app_id TEXT NOT NULL,
    pattern TEXT NOT NULL,
    user_id TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (app_id, pattern)
  ) STRICT;
  CREATE TABLE event_task (
    task_id INTEGER PRIMARY KEY,
    app_id TEXT NOT NULL,
    user_id TEXT,
    event_id INTEGER,
    key TEXT,
    path TEXT,
    payload TEXT,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failed_at INTEGER,
    reason TEXT
  ) STRICT;
  CREATE INDEX event_task_by_due ON event_task (due_at) WHERE failed_at IS NULL;
  CREATE INDEX event_task_by_app ON event_task (app_id, due_at) WHERE failed_at IS NULL;
  CREATE INDEX event_task_by_event ON event_task (event_id) WHERE event_id IS NOT NULL;
  CREATE UNIQUE INDEX event_task_by_key ON event_task (app_id, key) WHERE key IS NOT NULL;
  CREATE TABLE event_cron (
    cron_id INTEGER PRIMARY KEY,
    app_id TEXT NOT NULL,
    user_id TEXT,
    schedule TEXT NOT NULL,
    zone TEXT NOT NULL,
    path TEXT NOT NULL,
    missed TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    running_due INTEGER,
    last_at INTEGER,
    last_status INTEGER,
    UNIQUE (app_id, schedule, zone, path)
  ) STRICT;
  CREATE INDEX event_cron_by_due ON event_cron (due_at);
`;

export const migrations: readonly Migration[] = [{ version: 6, domain: "event", sql }];
