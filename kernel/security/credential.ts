/**
 * Credentials: tokens (for programs) and sessions (for browsers), 256 random bits each, stored as
 * SHA-256 only.
 *
 *     fazt_<52 characters of base32><8 of a checksum>     a token; sessions begin with `fazts_`
 *
 * Invariants
 * 1. A credential that is removed, expired or idle for too long proves nothing from then on.
 * 2. A credential holds the grants it was given; it ends with its user, and a session that was
 *    had for a token ends with that token.
 * 3. While another kernel works on the same database (`share`) nothing is believed from memory.
 * 4. The secret is given once. The checksum only tells a mistyped secret without a look-up, and
 *    lets scanners find leaked ones; it proves nothing.
 */
import { base32, type Machine } from "../machine.ts";
import type { SqlValue, Storage, Tx } from "../storage/mod.ts";
import { credentialCacheMax, sessionIdleMs, touchEveryMs } from "./limits.ts";
import { remember } from "./slowing.ts";

export type CredentialKind = "token" | "session";

export interface Credential {
  readonly id: string;
  readonly kind: CredentialKind;
  readonly userId: string;
  readonly name: string;
  readonly capabilities: string[];
  readonly createdAt: number;
  /** Unix ms, or null: never. */
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
}

/** What a new credential is to be. */
export interface Wanted extends Pick<Credential, "kind" | "userId" | "name" | "capabilities"> {
  readonly expiresAt: number | null;
  /** The token a session was had for. */
  readonly parentId?: string;
  /** Where a session was had from. */
  readonly address?: string;
}

interface Row {
  id: string;
  kind: CredentialKind;
  user_id: string;
  name: string;
  capabilities: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
}

const columns = "id, kind, user_id, name, capabilities, created_at, expires_at, last_used_at";
const prefixes = { token: "fazt_", session: "fazts_" } as const;

const fromRow = (row: Row): Credential => ({
  id: row.id,
  kind: row.kind,
  userId: row.user_id,
  name: row.name,
  capabilities: JSON.parse(row.capabilities) as string[],
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  lastUsedAt: row.last_used_at,
});

function sha256(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

function checksum(prefixed: string): string {
  return base32(Uint8Array.fromHex(sha256(prefixed).slice(0, 10)));
}

/** A new secret of 32 random bytes. */
export function newSecret(kind: CredentialKind, random: Uint8Array): string {
  const body = `${prefixes[kind]}${base32(random)}`;
  return `${body}${checksum(body)}`;
}

/** Whether a text has the form and the checksum of such a secret. Pure. */
export function isSecret(kind: CredentialKind, text: string): boolean {
  const prefix = prefixes[kind];
  if (text.length !== prefix.length + 60 || !text.startsWith(prefix)) return false;
  return checksum(text.slice(0, -8)) === text.slice(-8);
}

/** Whether a credential still proves anything at `now`. Pure. */
function isLive(credential: Credential, now: number): boolean {
  if (credential.expiresAt !== null && now >= credential.expiresAt) return false;
  if (credential.kind === "token") return true;
  return now - (credential.lastUsedAt ?? credential.createdAt) < sessionIdleMs;
}

export interface Credentials {
  /** Makes one within a transaction. */
  issue(tx: Tx, wanted: Wanted): { readonly credential: Credential; readonly secret: string };
  /** Whose secret this is, when it is live. Fast: a hash and a map, else one indexed read. */
  find(kind: CredentialKind, secret: string): Credential | null;
  ls(kind: CredentialKind): Credential[];
  /** Whether this user has a session from this address. */
  knows(userId: string, address: string): boolean;
  /** Removes within a transaction what the SQL condition says; sessions go with their token. */
  end(tx: Tx, where: string, ...values: SqlValue[]): number;
  /** To be called when a transaction with `end` has been written. */
  forget(): void;
  /** Whether another kernel may end what is here in memory. */
  share(shared: boolean): void;
  /** Removes what is expired or idle; answers the number of rows. */
  sweep(): Promise<number>;
}

class StoredCredentials implements Credentials {
  readonly #machine: Machine;
  readonly #storage: Storage;
  readonly #cache = new Map<string, Credential>();
  #shared = false;

  constructor(machine: Machine, storage: Storage) {
    this.#machine = machine;
    this.#storage = storage;
  }

  share(shared: boolean): void {
    this.#shared = shared;
    this.forget();
  }

  issue(tx: Tx, wanted: Wanted) {
    const secret = newSecret(wanted.kind, this.#machine.random(32));
    const { kind, userId, name, capabilities, expiresAt } = wanted;
    const now = this.#machine.now();
    const id = this.#machine.id(kind === "token" ? "tok" : "ses");
    tx.run(
      `INSERT INTO security_credential (id, kind, hash, user_id, parent_id, name, capabilities,
         address, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[id, kind, sha256(secret), userId, wanted.parentId ?? null, name],
      ...[JSON.stringify(capabilities), wanted.address ?? null, now, expiresAt],
    );
    const times = { createdAt: now, expiresAt, lastUsedAt: null };
    return { credential: { id, kind, userId, name, capabilities, ...times }, secret };
  }

  find(kind: CredentialKind, secret: string): Credential | null {
    const hash = sha256(secret);
    const found = this.#cache.get(hash) ?? this.#load(kind, secret, hash);
    if (found === null || found.kind !== kind) return null;
    const now = this.#machine.now();
    if (!isLive(found, now)) {
      this.#cache.delete(hash);
      return null;
    }
    const credential = this.#touch(found, now);
    if (!this.#shared) remember(this.#cache, { key: hash, value: credential }, credentialCacheMax);
    return credential;
  }

  ls(kind: CredentialKind): Credential[] {
    const select = `SELECT ${columns} FROM security_credential WHERE kind = ? ORDER BY id`;
    const now = this.#machine.now();
    const all = this.#storage.read.all<Row>(select, kind).map(fromRow);
    return all.filter((credential) => isLive(credential, now));
  }

  knows(userId: string, address: string): boolean {
    const select = `SELECT id FROM security_credential
      WHERE user_id = ? AND kind = 'session' AND address = ? LIMIT 1`;
    return this.#storage.read.get(select, userId, address) !== null;
  }

  end(tx: Tx, where: string, ...values: SqlValue[]): number {
    const chosen = `SELECT id FROM security_credential WHERE ${where}`;
    const children = `DELETE FROM security_credential WHERE parent_id IN (${chosen})`;
    const ended = tx.run(children, ...values);
    return ended + tx.run(`DELETE FROM security_credential WHERE ${where}`, ...values);
  }

  forget(): void {
    this.#cache.clear();
  }

  async sweep(): Promise<number> {
    const now = this.#machine.now();
    const idle = "kind = 'session' AND coalesce(last_used_at, created_at) <= ?";
    const where = `expires_at <= ? OR (${idle})`;
    const ended = await this.#storage.write((tx) => this.end(tx, where, now, now - sessionIdleMs), {
      essential: true,
    });
    this.forget();
    return ended;
  }

  #load(kind: CredentialKind, secret: string, hash: string): Credential | null {
    if (!isSecret(kind, secret)) return null;
    const select = `SELECT ${columns} FROM security_credential WHERE hash = ?`;
    const row = this.#storage.read.get<Row>(select, hash);
    return row === null ? null : fromRow(row);
  }

  /** Not awaited and not reported: a time of use may be lost, a request may not fail for it. */
  #touch(credential: Credential, now: number): Credential {
    const since = now - (credential.lastUsedAt ?? 0);
    if (since >= 0 && since < touchEveryMs) return credential;
    const set = "UPDATE security_credential SET last_used_at = ? WHERE id = ?";
    this.#storage
      .write((tx) => tx.run(set, now, credential.id), { essential: true })
      .catch(() => undefined);
    return { ...credential, lastUsedAt: now };
  }
}

export function createCredentials(machine: Machine, storage: Storage): Credentials {
  return new StoredCredentials(machine, storage);
}
