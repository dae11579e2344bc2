/**
 * Key-value pairs, one namespace an app (`owner` is the machine's own namespace).
 *
 * Invariants: a key that has expired is never seen; a set with `ifVersion` changes nothing unless
 * the stored version is that one; versions only grow; `incr` is one atomic step. Values are JSON.
 */
export interface KvScope {
  readonly appId: string;
  readonly userId: string | null;
}

export interface KvEntry {
  readonly key: string;
  readonly value: unknown;
  /** Grows by one with each change of this key; 0 means "no such key" in `ifVersion`. */
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

export interface KvListOptions {
  readonly prefix?: string | undefined;
  /** Exclusive: the last key of the page before. */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

export interface Kv {
  get(scope: KvScope, key: string): KvEntry | null;
  /** Throws ESTALE, EFBIG (value over 1 MB), EINVAL (key over 1 KB or empty), ENOSPC. */
  set(
    scope: KvScope,
    entry: { key: string; value: unknown },
    options?: KvSetOptions,
  ): Promise<KvEntry>;
  /** Whether the key was there. */
  rm(scope: KvScope, key: string): Promise<boolean>;
  ls(scope: KvScope, options?: KvListOptions): KvEntry[];
  /** Adds `by` to an integer, from 0. Throws EINVAL (not an integer), ERANGE (beyond ±2^53). */
  incr(scope: KvScope, key: string, by: number): Promise<KvEntry>;
  /** Forgets everything of an app. */
  purge(appId: string): Promise<number>;
}
