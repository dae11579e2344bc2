/**
 * Signs and verifies for apps. Keys are rows, sealed and bound to app and id; a key is made when
 * the first token is signed, and when the one before has signed for long enough.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { type Claims, type Pair, pairOf, readToken, tokenOf } from "./jwt.ts";
import { claimsBytesMax, keptMs, rotateMs } from "./limits.ts";

export interface Signed {
  readonly token: string;
  /** Unix ms. */
  readonly expiresAt: number;
}

/** What a good token says. Times in Unix ms. */
export interface Verified {
  readonly claims: Record<string, unknown>;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface Signing {
  /** EFBIG, EINVAL (claims the kernel sets itself), EBADMSG (the machine key is lost). */
  sign(appId: string, what: { claims: Claims; ttlMs: number }): Promise<Signed>;
  /** Null when this app has not signed it, or not for this time. EBADMSG. */
  verify(appId: string, token: string): Verified | null;
  /** Removes the keys of an app that will not come back: its tokens are good no more. */
  forget(appId: string): Promise<void>;
}

interface KeyRow {
  readonly id: string;
  readonly sealed: Uint8Array;
  readonly created_at: number;
}

interface Parts {
  readonly machine: Machine;
  readonly storage: Storage;
  seal(plain: Uint8Array, context: string): Uint8Array;
  unseal(sealed: Uint8Array, context: string): Uint8Array;
}

/** Set by the kernel in every token; times in seconds (RFC 7519, 4.1). */
const own = ["iss", "iat", "exp", "nbf"];

const context = (appId: string, id: string) => `signing:${appId}:${id}`;

export function createSigning({ machine, storage, seal, unseal }: Parts): Signing {
  const newest = "SELECT * FROM security_app_key WHERE app_id = ? ORDER BY created_at DESC LIMIT 1";
  const pair = (appId: string, { id, sealed }: KeyRow): Pair =>
    pairOf(unseal(sealed, context(appId, id)));

  /** The key that signs at this moment. */
  const current = async (appId: string): Promise<KeyRow> => {
    const at = machine.now();
    const fresh = (row: KeyRow | null) => row !== null && at - row.created_at < rotateMs;
    const known = storage.read.get<KeyRow>(newest, appId);
    if (known !== null && fresh(known)) return known;
    const id = machine.id("key");
    const sealed = seal(machine.random(32), context(appId, id));
    return await storage.write((tx) => {
      // Somebody else's may have come first.
      const other = tx.get<KeyRow>(newest, appId);
      if (other !== null && fresh(other)) return other;
      tx.run(
        "DELETE FROM security_app_key WHERE app_id = ? AND created_at < ?",
        appId,
        at - keptMs,
      );
      const row =
        "INSERT INTO security_app_key (id, app_id, sealed, created_at) VALUES (?, ?, ?, ?)";
      tx.run(row, id, appId, sealed, at);
      return { id, sealed, created_at: at };
    });
  };

  return {
    async sign(appId, { claims, ttlMs }) {
      check(claims);
      const row = await current(appId);
      const issuedS = Math.floor(machine.now() / 1000);
      const expiresS = issuedS + Math.ceil(ttlMs / 1000);
      const said = { ...claims, iss: appId, iat: issuedS, exp: expiresS };
      const token = tokenOf(said, { id: row.id, pair: pair(appId, row) });
      return { token, expiresAt: expiresS * 1000 };
    },
    verify(appId, token) {
      const unproved = readToken(token);
      if (unproved === null) return null;
      const sql = "SELECT * FROM security_app_key WHERE app_id = ? AND id = ?";
      const row = storage.read.get<KeyRow>(sql, appId, unproved.keyId);
      if (row === null) return null;
      const { iss, iat, exp, ...claims } = unproved.claims(pair(appId, row).open) ?? {};
      const known = iss === appId && typeof iat === "number" && typeof exp === "number";
      if (!known || exp * 1000 <= machine.now()) return null;
      return { claims, issuedAt: iat * 1000, expiresAt: exp * 1000 };
    },
    forget: async (appId) => {
      const sql = "DELETE FROM security_app_key WHERE app_id = ?";
      await storage.write((tx) => tx.run(sql, appId), { essential: true });
    },
  };
}

function check(claims: Claims): void {
  const taken = own.find((name) => name in claims);
  if (taken !== undefined) {
    throw new SysError("EINVAL", `cannot sign "${taken}": the kernel says that itself`, {
      hint: "leave it out; how long the token is good for is said by ttlMs",
    });
  }
  if (Buffer.byteLength(JSON.stringify(claims)) <= claimsBytesMax) return;
  throw new SysError("EFBIG", `cannot sign the claims: more than ${claimsBytesMax} bytes`, {
    hint: "sign an id, and keep the rest in the app's data under it",
  });
}
