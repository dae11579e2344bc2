/**
 * Rows of the app tables as the rest of the kernel sees them, and the reads that are more than one
 * line. Nothing here changes anything.
 */
import type { Reader } from "../storage/mod.ts";
import type { App, Release } from "./app.ts";
import { storedManifest } from "./manifest.ts";

interface AppRow {
  readonly app_id: string;
  readonly name: string;
  readonly created_at: number;
  readonly release_id: string | null;
  readonly stopped: number;
  readonly removed_at: number | null;
}

interface ReleaseRow {
  readonly id: string;
  readonly app_id: string;
  readonly number: number;
  readonly created_at: number;
  readonly message: string;
  readonly file_count: number;
  readonly size_bytes: number;
  readonly egress_agreed: number;
  readonly manifest: string;
}

function toApp(row: AppRow): App {
  return {
    id: row.app_id,
    name: row.name,
    createdAt: row.created_at,
    releaseId: row.release_id,
    stopped: row.stopped !== 0,
    removedAt: row.removed_at,
  };
}

function toRelease(row: ReleaseRow): Release {
  return {
    id: row.id,
    appId: row.app_id,
    number: row.number,
    createdAt: row.created_at,
    message: row.message,
    fileCount: row.file_count,
    sizeBytes: row.size_bytes,
    egressAgreed: row.egress_agreed !== 0,
    manifest: storedManifest(row.manifest),
  };
}

/** Every app that is not removed, by name. */
export function liveApps(read: Reader): App[] {
  return read
    .all<AppRow>("SELECT * FROM app_app WHERE removed_at IS NULL ORDER BY name")
    .map(toApp);
}

/** An app by id, removed or not. */
export function appRow(read: Reader, appId: string): App | null {
  const row = read.get<AppRow>("SELECT * FROM app_app WHERE app_id = ?", appId);
  return row === null ? null : toApp(row);
}

/** Apps that are removed and whose data is still there at `now`, the latest first, with its end. */
export function removedApps(read: Reader, now: number): { app: App; purgeAt: number }[] {
  const sql =
    "SELECT * FROM app_app WHERE removed_at IS NOT NULL AND purge_at > ? ORDER BY removed_at DESC";
  return read
    .all<AppRow & { purge_at: number }>(sql, now)
    .map((row) => ({ app: toApp(row), purgeAt: row.purge_at }));
}

/** The id of the app that has a name now. */
export function appIdOf(read: Reader, name: string): string | null {
  const sql = "SELECT app_id FROM app_app WHERE name = ? AND removed_at IS NULL";
  return read.get<{ app_id: string }>(sql, name)?.app_id ?? null;
}

/** A release by id, staged ones too. */
export function releaseRow(read: Reader, releaseId: string): Release | null {
  const row = read.get<ReleaseRow>("SELECT * FROM app_release WHERE id = ?", releaseId);
  return row === null ? null : toRelease(row);
}

/** Releases that have been current, newest first. */
export function switchedReleases(read: Reader, appId: string): Release[] {
  const sql = `SELECT * FROM app_release
    WHERE app_id = ? AND switched_at IS NOT NULL ORDER BY number DESC`;
  return read.all<ReleaseRow>(sql, appId).map(toRelease);
}
