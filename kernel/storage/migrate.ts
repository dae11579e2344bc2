/**
 * EDD migrations: a schema only grows, so that an older binary runs on a newer database.
 *
 * Invariants: versions are unique and gapless over all domains; a migration that has been released
 * never changes; `PRAGMA user_version` is the highest one applied; a database with a higher
 * version than ours is opened as it is.
 */

/** One step of the schema. `version` is global: the next free number over all domains. */
export interface Migration {
  readonly version: number;
  readonly domain: string;
  readonly sql: string;
}
