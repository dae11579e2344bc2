/**
 * Key-value pairs, one namespace an app (`owner` is the machine's own namespace).
 *
 * Invariants: a key that has expired is never seen; a set with `ifVersion` changes nothing unless
 * the stored version is that one; versions only grow, also over a key's removal; `incr` is one
 * atomic step. Values are JSON. Keys are well-formed Unicode, ordered by code point.
 */
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { StorageLimits } from "./limits.ts";
import type { Reader, SqlValue, Storage, Tx } from "./storage.ts";
import { forget, grow, rowBytes } from "./usage.ts";

export interface KvScope {
  readonly appId: string;
  readonly userId: string | null;
}

export interface KvEntry {
  readonly key: string;
  readonly value: unknown;
  /** Grows with each change of this key, and never repeats; 0 means "no such key" in `ifVersion`. */
  readonly version: number;
  /** Unix ms after which the key is gone, or null. */
  readonly expiresAt: number | null;
  readonly updatedAt: number;
}

export interface KvSetOptions {
  /** Milliseconds until the key expires. */
  readonly ttlMs?: number | undefined;
  /** Only when the stored version is this one; 0: only when the key is absent. Else ESTALE. */
  readonly ifVersion?: number | undefined;
}

/** A page may be shorter than `limit` (values are bounded by bytes too); an empty one is the end. */
export interface KvListOptions {
  readonly prefix?: string | undefined;
  /** Exclusive: the last key of the page before. */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

/** One change, checked already, to be made inside a transaction. */
export type Work<T> = (tx: Tx) => T;

/**
 * The changes as works, for who makes several in one transaction: what can be refused before it
 * is refused by the plan, the rest (ESTALE, ERANGE) by the work.
 */
export interface KvPlan {
  set(
    scope: KvScope,
    entry: { key: string; value: unknown },
    options?: KvSetOptions,
  ): Work<KvEntry>;
  rm(scope: KvScope, key: string): Work<boolean>;
  incr(scope: KvScope, key: string, by: number): Work<KvEntry>;
  /** Changes nothing; throws ESTALE unless the stored version is this one (0: absent). */
  check(scope: KvScope, key: string, ifVersion: number): Work<void>;
}

export interface Kv {
  readonly plan: KvPlan;
  get(scope: KvScope, key: string): KvEntry | null;
  /**
   * Throws ESTALE, EFBIG (value over 1 MB), EDQUOT (the app has too much), EINVAL (key over 1 KB, empty or not Unicode; value not
   * JSON; ttl not positive), ENOSPC. Without `ttlMs` the key does not expire any more.
   */
  set(
    scope: KvScope,
    entry: { key: string; value: unknown },
    options?: KvSetOptions,
  ): Promise<KvEntry>;
  /** Whether the key was there. */
  rm(scope: KvScope, key: string): Promise<boolean>;
  ls(scope: KvScope, options?: KvListOptions): KvEntry[];
  /**
   * Adds `by` to an integer, from 0; the key expires when it would have. Throws EINVAL (not an
   * integer), ERANGE (beyond ±2^53), EDQUOT, ENOSPC.
   */
  incr(scope: KvScope, key: string, by: number): Promise<KvEntry>;
  /** Forgets everything of an app. */
  purge(appId: string): Promise<number>;
}

export interface KvOptions {
  readonly machine: Machine;
  readonly read: Reader;
  readonly write: Storage["write"];
  readonly limits: StorageLimits;
}

interface KvRow {
  readonly key: string;
  readonly value: string;
  readonly version: number;
  readonly expires_at: number | null;
  readonly updated_at: number;
}

const columns = "key, value, version, expires_at, updated_at";
const selectOne = `SELECT ${columns} FROM storage_kv WHERE app_id = ? AND key = ?`;

/** What a row counts. SQLite knows the lengths without reading the text. */
const sizeOf = `(octet_length(key) + octet_length(value) + ${rowBytes})`;
const selectSize = `SELECT ${sizeOf} AS bytes FROM storage_kv WHERE app_id = ? AND key = ?`;

// A key made anew starts above every version this app has ever lost (see schema.ts).
const upsert = `
  INSERT INTO storage_kv (app_id, key, value, version, expires_at, updated_at, user_id)
  VALUES (?1, ?2, ?3,
    1 + coalesce((SELECT version FROM storage_kv_floor WHERE app_id = ?1), 0), ?4, ?5, ?6)
  ON CONFLICT (app_id, key) DO UPDATE SET value = excluded.value,
    version = storage_kv.version + 1, expires_at = excluded.expires_at,
    updated_at = excluded.updated_at, user_id = excluded.user_id
  RETURNING ${columns}`;

const raiseFloor = `
  INSERT INTO storage_kv_floor (app_id, version) VALUES (?1, ?2)
  ON CONFLICT (app_id) DO UPDATE SET version = max(version, excluded.version)`;

/** Key-value pairs over the one database; `sweep` is called now and then by its owner. */
export function createKv(options: KvOptions): Kv & { sweep(): Promise<number> } {
  const { machine, read, write, limits } = options;

  const live = (from: Reader, { appId }: KvScope, key: string): KvRow | null => {
    const row = from.get<KvRow>(selectOne, appId, key);
    const expired = row !== null && row.expires_at !== null && row.expires_at <= machine.now();
    return expired ? null : row;
  };

  const plan: KvPlan = {
    set(scope, { key, value }, { ttlMs, ifVersion } = {}) {
      checkKey(key, limits);
      const json = encode(key, value, limits);
      checkTtl(key, ttlMs, limits);
      return (tx) => {
        if (ifVersion !== undefined) checkVersion(key, live(tx, scope, key), ifVersion);
        const expiresAt = ttlMs === undefined ? null : machine.now() + ttlMs;
        return put(tx, scope, { key, json, expiresAt, nowMs: machine.now(), limits });
      };
    },

    incr(scope, key, by) {
      checkKey(key, limits);
      if (!Number.isSafeInteger(by))
        throw refusal("EINVAL", `add to "${key}"`, "not an integer step");
      return (tx) => {
        const row = live(tx, scope, key);
        const sum = add(key, row, by);
        const expiresAt = row?.expires_at ?? null;
        return put(tx, scope, { key, json: String(sum), expiresAt, nowMs: machine.now(), limits });
      };
    },

    rm: (scope, key) => (tx) => {
      const there = live(tx, scope, key) !== null;
      removeWhere(tx, "app_id = ? AND key = ?", { values: [scope.appId, key], limits });
      return there;
    },

    check: (scope, key, ifVersion) => (tx) => checkVersion(key, live(tx, scope, key), ifVersion),
  };

  return {
    plan,

    get(scope, key) {
      const row = live(read, scope, key);
      return row === null ? null : entryOf(row);
    },

    set: async (...given) => await write(plan.set(...given)),
    incr: async (...given) => await write(plan.incr(...given)),
    rm: (scope, key) => write(plan.rm(scope, key), { essential: true }),

    ls: (scope, list = {}) => page(read, { scope, list, limits, nowMs: machine.now() }),

    // In pieces, because an app may have millions and others wait for each transaction.
    async purge(appId) {
      const bound = limits.kvSweepRowsMax;
      const some = `DELETE FROM storage_kv WHERE rowid IN
        (SELECT rowid FROM storage_kv WHERE app_id = ? LIMIT ?) RETURNING ${sizeOf} AS bytes`;
      let gone = 0;
      for (let count = bound; count === bound; gone += count) {
        count = await write(
          (tx) => {
            const rows = tx.all<{ bytes: number }>(some, appId, bound);
            grow(tx, appId, { bytes: rows.reduce((sum, row) => sum - row.bytes, 0), limits });
            return rows.length;
          },
          { essential: true },
        );
      }
      await write(
        (tx) => {
          forget(tx, appId);
          tx.run("DELETE FROM storage_kv_floor WHERE app_id = ?", appId);
        },
        { essential: true },
      );
      return gone;
    },

    async sweep() {
      const nowMs = machine.now();
      const due = "SELECT 1 FROM storage_kv WHERE expires_at <= ? LIMIT 1";
      if (read.get(due, nowMs) === null) return 0;
      const some = `rowid IN (
        SELECT rowid FROM storage_kv WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`;
      const values = [nowMs, limits.kvSweepRowsMax];
      return await write((tx) => removeWhere(tx, some, { values, limits }), { essential: true });
    },
  };
}

function put(
  tx: Tx,
  { appId, userId }: KvScope,
  entry: Pick<Page, "nowMs" | "limits"> & { key: string; json: string; expiresAt: number | null },
): KvEntry {
  const { key, json, expiresAt, nowMs, limits } = entry;
  const before = tx.get<{ bytes: number }>(selectSize, appId, key)?.bytes ?? 0;
  const after = Buffer.byteLength(key) + Buffer.byteLength(json) + rowBytes;
  grow(tx, appId, { bytes: after - before, limits });
  const row = tx.get<KvRow>(upsert, appId, key, json, expiresAt, nowMs, userId);
  if (row === null) throw refusal("EIO", `set "${key}"`, "the database kept nothing");
  return entryOf(row);
}

/** Removes rows and remembers how far their versions had come. */
function removeWhere(
  tx: Tx,
  where: string,
  { values, limits }: { values: SqlValue[]; limits: StorageLimits },
): number {
  const gone = tx.all<{ app_id: string; version: number; bytes: number }>(
    `DELETE FROM storage_kv WHERE ${where} RETURNING app_id, version, ${sizeOf} AS bytes`,
    ...values,
  );
  for (const row of gone) {
    tx.run(raiseFloor, row.app_id, row.version);
    grow(tx, row.app_id, { bytes: -row.bytes, limits });
  }
  return gone.length;
}

interface Page {
  readonly scope: KvScope;
  readonly list: KvListOptions;
  readonly limits: StorageLimits;
  readonly nowMs: number;
}

// The sizes first: SQLite knows the length of a value without reading it.
function page(read: Reader, { scope, list, limits, nowMs }: Page): KvEntry[] {
  const { prefix = "", after = "", limit = limits.kvPage } = list;
  const end = prefixEnd(prefix);
  const where = `app_id = ? AND key >= ? AND key > ? AND (expires_at IS NULL OR expires_at > ?)
    ${end === null ? "" : "AND key < ?"} ORDER BY key LIMIT ?`;
  const values: SqlValue[] = [scope.appId, prefix, after, nowMs];
  if (end !== null) values.push(end);
  const sizes = read.all<{ bytes: number }>(
    `SELECT octet_length(value) AS bytes FROM storage_kv WHERE ${where}`,
    ...values,
    Math.min(limit, limits.kvPageMax),
  );
  let count = 0;
  let bytes = 0;
  for (const size of sizes) {
    bytes += size.bytes;
    if (count > 0 && bytes > limits.kvPageBytesMax) break;
    count++;
  }
  const rows = read.all<KvRow>(
    `SELECT ${columns} FROM storage_kv WHERE ${where}`,
    ...values,
    count,
  );
  return rows.map(entryOf);
}

/**
 * The least string above every string that begins with `prefix`, in the order of code points
 * (which is the order of UTF-8 bytes); null when there is none.
 */
export function prefixEnd(prefix: string): string | null {
  const letters = Array.from(prefix);
  for (let last = letters.pop()?.codePointAt(0); last !== undefined; ) {
    const next = last === 0xd7ff ? 0xe000 : last + 1;
    if (next <= 0x10ffff) return letters.join("") + String.fromCodePoint(next);
    last = letters.pop()?.codePointAt(0);
  }
  return null;
}

function entryOf(row: KvRow): KvEntry {
  return {
    key: row.key,
    value: JSON.parse(row.value),
    version: row.version,
    expiresAt: row.expires_at,
    updatedAt: row.updated_at,
  };
}

function checkKey(key: string, { kvKeyBytesMax }: StorageLimits): void {
  const shown = key.slice(0, 64);
  if (key === "") throw refusal("EINVAL", `use "${shown}"`, "a key is not empty");
  if (!key.isWellFormed() || key.includes("\0")) {
    throw refusal("EINVAL", `use "${shown.toWellFormed()}"`, "a key is Unicode text without NUL");
  }
  if (Buffer.byteLength(key) > kvKeyBytesMax) {
    throw refusal("EINVAL", `use "${shown}"`, `a key has at most ${kvKeyBytesMax} bytes`);
  }
}

function encode(key: string, value: unknown, { kvValueBytesMax }: StorageLimits): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch {
    // Cycles and big integers: refused below like every other value that is not JSON.
  }
  if (json === undefined) throw refusal("EINVAL", `set "${key}"`, "the value is not JSON");
  const bytes = Buffer.byteLength(json);
  if (bytes > kvValueBytesMax) {
    throw new SysError(
      "EFBIG",
      `cannot set "${key}": the value has ${bytes} bytes, the limit is ${kvValueBytesMax}`,
      { hint: "keep large content in files (fs.write) and store its path" },
    );
  }
  return json;
}

function checkTtl(key: string, ttlMs: number | undefined, { kvTtlMsMax }: StorageLimits): void {
  if (ttlMs === undefined) return;
  if (Number.isSafeInteger(ttlMs) && ttlMs > 0 && ttlMs <= kvTtlMsMax) return;
  throw refusal("EINVAL", `set "${key}"`, `ttlMs is a whole number from 1 to ${kvTtlMsMax}`);
}

function checkVersion(key: string, row: KvRow | null, ifVersion: number): void {
  const version = row?.version ?? 0;
  if (version === ifVersion) return;
  throw new SysError("ESTALE", `cannot set "${key}": version is ${version}, not ${ifVersion}`, {
    hint: "read the key again and decide on what it holds now",
  });
}

function add(key: string, row: KvRow | null, by: number): number {
  const value: unknown = row === null ? 0 : JSON.parse(row.value);
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    throw refusal("EINVAL", `add to "${key}"`, "the value is not an integer");
  }
  const sum = value + by;
  if (Number.isSafeInteger(sum)) return sum;
  throw refusal("ERANGE", `add to "${key}"`, "the sum is beyond 2^53");
}

function refusal(code: "EINVAL" | "ERANGE" | "EIO", action: string, state: string): SysError {
  return new SysError(code, `cannot ${action}: ${state}`);
}
