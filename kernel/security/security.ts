/**
 * The security domain's interface: who may do what, and the record of what was done.
 *
 * Rules: an unclaimed machine knows nobody but its setup code; passwords are argon2id; tokens and
 * sessions are random and stored hashed; secrets are sealed with the machine key and never
 * printed; a refused login costs the same time whether the name exists or not.
 */
import type { Caller } from "../caller.ts";

export interface Claim {
  readonly code: string;
  readonly rootPass: string;
  readonly domain: string;
  readonly email: string;
}

export interface TokenInfo {
  readonly id: string;
  readonly name: string;
  readonly userId: string;
  readonly capabilities: string[];
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
}

/** The secret is given once, at creation, and never again. */
export interface NewToken extends TokenInfo {
  readonly token: string;
}

export interface UserInfo {
  readonly id: string;
  readonly name: string;
  readonly capabilities: string[];
  readonly createdAt: number;
}

export interface AuditEntry {
  readonly id: number;
  readonly at: number;
  readonly call: string;
  readonly outcome: "ok" | "refused" | "failed";
  readonly code: string | null;
  readonly callerKind: string;
  readonly via: string;
  readonly userId: string | null;
  readonly appId: string | null;
  readonly address: string | null;
  /** What the call was about: its input without secrets, at most 1 KB of JSON. */
  readonly subject: string;
}

export interface Security {
  /** The identity of this machine once it is claimed, else null. */
  owner(): { readonly domain: string; readonly email: string; readonly claimedAt: number } | null;
  /** The code that claims the machine; null once it is claimed. Changes after 5 wrong tries. */
  setupCode(): string | null;
  /** EACCES (wrong code), EAGAIN (too many wrong codes: a new one was made), EEXIST, EINVAL. */
  claim(claim: Claim, address: string | null): Promise<NewToken>;
  /** Claims without a code: only for the owner at the machine. EEXIST, EINVAL. */
  claimLocally(claim: Omit<Claim, "code">): Promise<void>;
  /** A session secret for a cookie. EKEYREJECTED, EAGAIN (slowed, with retryAfterMs). */
  login(
    who: { user: string; password: string } | { token: string },
    address: string | null,
  ): Promise<{ session: string; user: UserInfo; expiresAt: number }>;
  logout(session: string): Promise<void>;
  /** Who holds this bearer token or session secret; null when nobody does (any more). */
  authenticate(
    credential: { kind: "token" | "session"; secret: string },
    address: string | null,
  ): Caller | null;
  rootPass(password: string): Promise<void>;
  setDomain(domain: string): Promise<void>;

  tokens: {
    /** EINVAL, EPERM when the grants are more than the caller's own. */
    add(
      from: Caller,
      token: { name: string; capabilities: string[]; ttlMs: number | null },
    ): Promise<NewToken>;
    ls(): TokenInfo[];
    rm(id: string): Promise<void>;
  };
  users: {
    add(
      from: Caller,
      user: { name: string; password: string; capabilities: string[] },
    ): Promise<UserInfo>;
    ls(): UserInfo[];
    rm(name: string): Promise<void>;
  };

  /** Seals bytes with the machine key (AES-256-GCM), bound to a context string. */
  seal(plain: Uint8Array, context: string): Uint8Array;
  /** EBADMSG when the bytes, the key or the context are not the ones that sealed. */
  unseal(sealed: Uint8Array, context: string): Uint8Array;

  audit: {
    /** Recorded with the next group of writes; awaited only by who needs it durable. */
    add(entry: Omit<AuditEntry, "id" | "at">): Promise<void>;
    ls(query: { limit: number; before: number | null; call: string | null }): AuditEntry[];
  };
}
