/**
 * The owner's words about hosts, and the secrets for them: rows, remembered by app until they
 * change.
 *
 * Rules: a host has one row an app; secrets are sealed, bound to app and name, and unsealed only
 * while a request that may carry them is on its way out.
 */
import type { Caller } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Security } from "../../security/mod.ts";
import type { Storage } from "../../storage/mod.ts";
import { grantsMax } from "./limits.ts";
import { type Pattern, readPattern } from "./pattern.ts";
import type { Grant } from "./policy.ts";
import type { Secret } from "./secret.ts";

interface GrantRow {
  readonly host: string;
  readonly allowed: number;
  readonly near: number;
}

interface SecretRow {
  readonly name: string;
  readonly host: string;
  readonly sealed: Uint8Array;
}

export interface Known {
  readonly grants: readonly Grant[];
  readonly secrets: readonly Secret[];
}

/** What is said about one host. */
export interface Word {
  readonly appId: string;
  readonly pattern: Pattern;
  readonly allowed: boolean;
  readonly near: boolean;
  readonly secret: { readonly name: string; readonly value: string } | null;
}

export interface GrantsOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly security: Security;
}

export class Grants {
  readonly #on: GrantsOptions;
  readonly #known = new Map<string, Known>();

  constructor(on: GrantsOptions) {
    this.#on = on;
  }

  of(appId: string): Known {
    let known = this.#known.get(appId);
    if (known === undefined) {
      known = this.#read(appId);
      this.#known.set(appId, known);
    }
    return known;
  }

  /** Keeps the owner's word. EDQUOT. */
  async say(from: Caller, word: Word): Promise<void> {
    const { machine, storage, security } = this.#on;
    const { appId, pattern, secret } = word;
    const others = this.of(appId).grants.filter((one) => one.pattern.text !== pattern.text);
    if (others.length >= grantsMax) {
      throw new SysError(
        "EDQUOT",
        `cannot keep "${pattern.text}": the app has ${grantsMax} hosts`,
        {
          hint: 'use a wildcard such as "*.example.org"',
        },
      );
    }
    const at = machine.now();
    const sealed =
      secret === null ? null : security.seal(bytesOf(secret.value), context(appId, secret.name));
    await storage.write((tx) => {
      tx.run(
        `INSERT INTO net_egress (app_id, user_id, host, allowed, near, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (app_id, host)
         DO UPDATE SET user_id = ?2, allowed = ?4, near = ?5, updated_at = ?6`,
        appId,
        from.userId,
        pattern.text,
        word.allowed ? 1 : 0,
        word.near ? 1 : 0,
        at,
      );
      if (!word.allowed) {
        const gone = "DELETE FROM net_egress_secret WHERE app_id = ? AND host = ?";
        tx.run(gone, appId, pattern.text);
      }
      if (secret === null || sealed === null) return;
      tx.run(
        `INSERT INTO net_egress_secret (app_id, user_id, name, host, sealed, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (app_id, name)
         DO UPDATE SET user_id = ?2, host = ?4, sealed = ?5, updated_at = ?6`,
        appId,
        from.userId,
        secret.name,
        pattern.text,
        sealed,
        at,
      );
    });
    this.#known.delete(appId);
  }

  forget(appId: string): void {
    this.#known.delete(appId);
  }

  async erase(appId: string): Promise<void> {
    await this.#on.storage.write(
      (tx) => {
        tx.run("DELETE FROM net_egress WHERE app_id = ?", appId);
        tx.run("DELETE FROM net_egress_secret WHERE app_id = ?", appId);
      },
      { essential: true },
    );
    this.#known.delete(appId);
  }

  #read(appId: string): Known {
    const { storage, security } = this.#on;
    const rows = storage.read.all<GrantRow>(
      "SELECT host, allowed, near FROM net_egress WHERE app_id = ? ORDER BY host",
      appId,
    );
    const sealed = storage.read.all<SecretRow>(
      "SELECT name, host, sealed FROM net_egress_secret WHERE app_id = ? ORDER BY name",
      appId,
    );
    return {
      grants: rows.map(({ host, allowed, near }) => ({
        pattern: readPattern(host),
        allowed: allowed === 1,
        near: near === 1,
      })),
      secrets: sealed.map(({ name, host, sealed: bytes }) => ({
        name,
        pattern: readPattern(host),
        value: () => new TextDecoder().decode(security.unseal(bytes, context(appId, name))),
      })),
    };
  }
}

const context = (appId: string, name: string): string => `egress:${appId}:${name}`;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
