/**
 * The form of a token: JWS compact serialisation (RFC 7515, 7.1) of a JWT (RFC 7519), signed with
 * Ed25519 (RFC 8037). Pure.
 *
 * Rules: the algorithm is not the token's to choose; anything but the one form is no token.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { assert } from "../../assert.ts";

/** A private Ed25519 key of 32 bytes in PKCS #8 (RFC 8410, 7) begins like this. */
const pkcs8 = Buffer.from("302e020100300506032b657004220420", "hex");

export interface Pair {
  readonly secret: KeyObject;
  readonly open: KeyObject;
}

/** The key that these 32 bytes are. */
export function pairOf(seed: Uint8Array): Pair {
  assert(seed.length === 32, "an Ed25519 key has 32 bytes");
  const key = Buffer.concat([pkcs8, seed]);
  const secret = createPrivateKey({ key, format: "der", type: "pkcs8" });
  return { secret, open: createPublicKey(secret) };
}

export type Claims = Readonly<Record<string, unknown>>;

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token that says `claims`, signed by the key of that id. */
export function tokenOf(claims: Claims, { id, pair }: { id: string; pair: Pair }): string {
  const body = `${encode({ alg: "EdDSA", typ: "JWT", kid: id })}.${encode(claims)}`;
  return `${body}.${sign(null, Buffer.from(body), pair.secret).toString("base64url")}`;
}

/** A token taken apart, and nothing proved yet. */
export interface Unproved {
  readonly keyId: string;
  /** What it says, when the key has signed it; else null. */
  claims(open: KeyObject): Claims | null;
}

/** Takes a token apart; null when it is none. */
export function readToken(token: string): Unproved | null {
  const [head = "", body = "", signature = "", ...more] = token.split(".");
  const { alg, kid } = objectOf(head) ?? {};
  if (alg !== "EdDSA" || typeof kid !== "string" || more.length > 0) return null;
  return {
    keyId: kid,
    claims: (open) => {
      const bytes = Buffer.from(signature, "base64url");
      // One text for one signature: what decodes to the same bytes is not the same token.
      if (bytes.toString("base64url") !== signature) return null;
      return verify(null, Buffer.from(`${head}.${body}`), open, bytes) ? objectOf(body) : null;
    },
  };
}

function objectOf(part: string): Claims | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Claims)
      : null;
  } catch {
    return null; // no JSON
  }
}
