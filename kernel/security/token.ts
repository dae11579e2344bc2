/**
 * Tokens: what a user hands to a program so that it may call, with the rights it needs and no
 * more. They end when their time is over, when they are removed, and with their user.
 */
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Storage } from "../storage/mod.ts";
import type { Credential, Credentials } from "./credential.ts";
import { assertHolds, full, giverId, parseGrants } from "./grant.ts";
import { nameCharactersMax, tokenLifeMaxMs, tokensMax } from "./limits.ts";
import type { NewToken, TokenInfo } from "./security.ts";

const tokenInfo = ({ kind: _, ...rest }: Credential): TokenInfo => rest;

export function newToken(issued: { credential: Credential; secret: string }): NewToken {
  return { ...tokenInfo(issued.credential), token: issued.secret };
}

export interface TokenParts {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly credentials: Credentials;
}

export class Tokens {
  readonly #parts: TokenParts;

  constructor(parts: TokenParts) {
    this.#parts = parts;
  }

  async add(
    from: Caller,
    token: { name: string; capabilities: string[]; ttlMs: number | null },
  ): Promise<NewToken> {
    const { machine, storage, credentials } = this.#parts;
    const userId = giverId(from, storage.read);
    const name = token.name.trim();
    if (!/^[\p{L}\p{N}\p{P}\p{S} ]+$/u.test(name) || [...name].length > nameCharactersMax) {
      throw new SysError("EINVAL", `cannot add token "${name.slice(0, 80)}": not a name`, {
        hint: `give it a name of 1 to ${nameCharactersMax} printable characters`,
      });
    }
    const capabilities = parseGrants(from.grants, token.capabilities);
    const { ttlMs } = token;
    if (ttlMs !== null && !(Number.isInteger(ttlMs) && ttlMs > 0 && ttlMs <= tokenLifeMaxMs)) {
      throw new SysError("EINVAL", `cannot add token "${name}": it cannot live for ${ttlMs} ms`, {
        hint: "give a whole number of milliseconds up to ten years, or none for ever",
      });
    }
    const expiresAt = ttlMs === null ? null : machine.now() + ttlMs;
    return storage.write((tx) => {
      // Once more: the user may have been removed in between.
      giverId(from, tx);
      const count = "SELECT count(*) AS n FROM security_credential WHERE kind = 'token'";
      if ((tx.get<{ n: number }>(count)?.n ?? 0) >= tokensMax) throw full("tokens", tokensMax);
      return newToken(
        credentials.issue(tx, { kind: "token", userId, name, capabilities, expiresAt }),
      );
    });
  }

  ls(): TokenInfo[] {
    return this.#parts.credentials.ls("token").map(tokenInfo);
  }

  async rm(from: Caller, id: string): Promise<void> {
    const { storage, credentials } = this.#parts;
    const token = this.ls().find((one) => one.id === id);
    if (token === undefined) {
      throw new SysError("ENOENT", `cannot remove token "${id.slice(0, 80)}": no such token`, {
        hint: "fazt security token ls",
      });
    }
    assertHolds(from, token.capabilities, `remove token "${id}"`);
    await storage.write((tx) => credentials.end(tx, "id = ?", id), { essential: true });
    credentials.forget();
  }
}
