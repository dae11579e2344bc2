/**
 * The claim: how a machine that belongs to nobody gets its owner, once.
 *
 * Invariants
 * 1. While unclaimed there is one setup code; it survives restarts (sealed in the database) and is
 *    shown by the console only.
 * 2. The fifth wrong code makes a new one, is answered EAGAIN and audited; the address waits.
 * 3. One transaction decides the claim: of any number at once exactly one wins.
 * States: unclaimed → claimed; there is no way back.
 */
import { timingSafeEqual } from "node:crypto";
import { present } from "../assert.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Storage, Tx } from "../storage/mod.ts";
import type { Audit } from "./audit.ts";
import type { Credentials } from "./credential.ts";
import type { MachineKey } from "./key.ts";
import {
  broughtCodeTries,
  domainCharactersMax,
  emailCharactersMax,
  setupCodeCharacters,
  setupCodeTries,
  setupTokenLifeMs,
} from "./limits.ts";
import { assertHash, assertPassword, type Passwords } from "./password.ts";
import type { Claim, LocalClaim, NewToken, Owner } from "./security.ts";
import type { Slowing } from "./slowing.ts";
import { newToken } from "./token.ts";
import { insertUser, rootId } from "./user.ts";

/** Without 0, 1, I and O, which people mistake for each other; 32, so that bytes map evenly. */
const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const sealContext = "security.setup-code";

/** What the database knows of the machine itself. */
export interface MachineRow {
  readonly setup_hash: string | null;
  readonly key_check: string | null;
  readonly setup_code: Uint8Array | null;
  readonly domain: string | null;
  readonly email: string | null;
  readonly claimed_at: number | null;
}

export function readMachine(storage: Storage): MachineRow | null {
  return storage.read.get<MachineRow>(
    "SELECT setup_hash, key_check, setup_code, domain, email, claimed_at FROM security_machine WHERE id = 1",
  );
}

/** A setup code of 60 random bits in three groups: `K7QW-M3XP-9TRA`. */
export function newSetupCode(random: Uint8Array): string {
  const characters = [...random.subarray(0, setupCodeCharacters)].map(
    (byte) => alphabet[byte & 31],
  );
  return (characters.join("").match(/.{4}/g) ?? []).join("-");
}

/** Whether two codes are the same to a person (case, spaces and hyphens), in constant time. */
export function sameCode(a: string, b: string): boolean {
  const digest = (code: string) =>
    new Bun.CryptoHasher("sha256").update(code.toUpperCase().replace(/[^A-Z0-9]/g, "")).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** A domain as it is kept: lower case, punycode, no final dot. EINVAL when it is none. */
export function parseDomain(text: string): string {
  const asked = text.trim().replace(/\.$/, "");
  const plain = /^[\p{L}\p{N}\p{M}.-]+$/u.test(asked) && URL.canParse(`http://${asked}`);
  const domain = plain ? new URL(`http://${asked}`).hostname : "";
  const labels = domain.split(".");
  const shaped = labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label));
  const named = domain === "localhost" || (labels.length > 1 && !/^\d+$/.test(labels.at(-1) ?? ""));
  if (shaped && named && domain.length <= domainCharactersMax) return domain;
  throw new SysError("EINVAL", `cannot use domain "${text.slice(0, 80)}": not a DNS name`, {
    hint: 'give a name such as "example.com", or "localhost" to try it on this machine',
  });
}

/** A mail address as it is kept. EINVAL when it is none. */
export function parseEmail(text: string): string {
  const parts = /^([!-?A-~]{1,64})@([^@]+)$/.exec(text.trim());
  const [local, domain] = [parts?.[1], parts?.[2]];
  if (local !== undefined && domain !== undefined && text.length <= emailCharactersMax) {
    try {
      return `${local}@${parseDomain(domain)}`;
    } catch {
      // Told below as a bad address: the caller gave no domain here.
    }
  }
  throw new SysError("EINVAL", `cannot use e-mail "${text.slice(0, 80)}": not an address`, {
    hint: 'give an address such as "me@example.com"',
  });
}

export interface ClaimParts {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly key: MachineKey;
  readonly passwords: Passwords;
  readonly credentials: Credentials;
  readonly slowing: Slowing;
  readonly audit: Audit;
}

export class Claims {
  readonly #parts: ClaimParts;
  readonly #listeners: ((code: string) => void)[] = [];
  #owner: Owner | null = null;
  #code: string | null = null;
  #wrong = 0;
  /** The hash of a code that user-data brought, and how often it was guessed at. */
  #brought: { readonly hash: string; wrong: number } | null = null;

  constructor(parts: ClaimParts, row: MachineRow | null) {
    this.#parts = parts;
    if (row !== null && row.claimed_at !== null) {
      const domain = present(row.domain, "the domain of a claimed machine");
      const email = present(row.email, "the e-mail of a claimed machine");
      this.#owner = { domain, email, claimedAt: row.claimed_at };
      return;
    }
    this.#code = this.#unsealCode(row);
    const hash = row?.setup_hash ?? null;
    if (hash !== null) this.#brought = { hash, wrong: 0 };
    // Not awaited: boot goes on, later writes come after it; a failure is logged and costs the
    // code its place after a restart, nothing else.
    if (this.#code === null) void this.#renewCode();
  }

  owner(): Owner | null {
    return this.#owner;
  }

  setupCode(): string | null {
    return this.#code;
  }

  onSetupCode(show: (code: string) => void): void {
    this.#listeners.push(show);
  }

  async claim(claim: Claim, address: string | null): Promise<NewToken> {
    return this.#take(claim, await this.checkCode(claim.code, address));
  }

  /** Passes with a code that claims; answers whether it still does. A wrong one counts. */
  async checkCode(given: string, address: string | null): Promise<() => boolean> {
    this.#assertUnclaimed();
    this.#parts.slowing.checkSetup(address);
    const code = present(this.#code, "the setup code of an unclaimed machine");
    if (sameCode(given, code)) return () => this.#code === code;
    const brought = this.#brought;
    if (brought !== null && (await this.#isBrought(given, brought.hash))) {
      return () => this.#brought === brought;
    }
    throw await this.#wrongCode(address);
  }

  /** Takes a setup code by its hash, beside the one the console shows. EEXIST, EINVAL. */
  async bringCode(hash: string): Promise<void> {
    this.#assertUnclaimed();
    assertHash(hash);
    const { storage, key } = this.#parts;
    await storage.write((tx) => {
      assertRowUnclaimed(tx);
      tx.run(
        `INSERT INTO security_machine (id, key_check, setup_hash) VALUES (1, ?, ?)
         ON CONFLICT (id) DO UPDATE SET setup_hash = excluded.setup_hash`,
        ...[key.check, hash],
      );
    });
    this.#brought = { hash, wrong: 0 };
  }

  #isBrought(code: string, hash: string): Promise<boolean> {
    return this.#parts.passwords.verify(code.trim(), hash);
  }

  async claimLocally(claim: LocalClaim): Promise<void> {
    this.#assertUnclaimed();
    await this.#take(claim, () => true);
  }

  async setDomain(text: string): Promise<void> {
    const domain = parseDomain(text);
    if (this.#owner === null) {
      throw new SysError("EPERM", `cannot set domain "${domain}": the machine is not claimed`, {
        hint: "claim it first; the claim sets the domain",
      });
    }
    const set = "UPDATE security_machine SET domain = ? WHERE id = 1";
    await this.#parts.storage.write((tx) => tx.run(set, domain));
    this.#owner = { ...this.#owner, domain };
  }

  #assertUnclaimed(): void {
    if (this.#owner !== null) throw alreadyClaimed();
  }

  /** Checks everything, then decides in one transaction. */
  async #take(claim: LocalClaim, codeHolds: () => boolean): Promise<NewToken> {
    const { machine, storage, key, passwords, credentials } = this.#parts;
    const domain = parseDomain(claim.domain);
    const email = parseEmail(claim.email);
    if ("rootPass" in claim) assertPassword(claim.rootPass, [domain, email]);
    else assertHash(claim.rootPassHash);
    const passwordHash =
      "rootPass" in claim ? await passwords.hash(claim.rootPass) : claim.rootPassHash;
    const claimedAt = machine.now();
    const token = await storage.write(
      (tx) => {
        assertRowUnclaimed(tx);
        if (!codeHolds()) throw wrongCode(null);
        tx.run(
          `INSERT INTO security_machine (id, key_check, domain, email, claimed_at)
           VALUES (1, ?, ?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET domain = excluded.domain, email = excluded.email,
             claimed_at = excluded.claimed_at, setup_code = NULL, setup_hash = NULL`,
          ...[key.check, domain, email, claimedAt],
        );
        const capabilities = ["*"];
        insertUser(tx, {
          id: rootId,
          name: "root",
          capabilities,
          createdAt: claimedAt,
          passwordHash,
        });
        const expiresAt = claimedAt + setupTokenLifeMs;
        const wanted = {
          kind: "token",
          userId: rootId,
          name: "setup",
          capabilities,
          expiresAt,
        } as const;
        return newToken(credentials.issue(tx, wanted));
      },
      { essential: true },
    );
    this.#owner = { domain, email, claimedAt };
    this.#code = null;
    this.#brought = null;
    return token;
  }

  async #wrongCode(address: string | null): Promise<SysError> {
    const waitMs = this.#parts.slowing.failSetup(address);
    this.#wrong++;
    // Nobody can show a new one of these: it ends when it was guessed at often.
    if (this.#brought !== null && ++this.#brought.wrong >= broughtCodeTries) this.#brought = null;
    if (this.#wrong < setupCodeTries) return wrongCode(setupCodeTries - this.#wrong);
    await this.#renewCode();
    await this.#parts.audit.add({
      call: "security.claim",
      outcome: "refused",
      code: "EAGAIN",
      callerKind: "anonymous",
      via: "none",
      userId: null,
      appId: null,
      address,
      subject: JSON.stringify({ event: "new setup code", wrongCodes: setupCodeTries }),
    });
    return new SysError("EAGAIN", "cannot claim this machine: too many wrong setup codes", {
      hint: "read the new code from the machine's console",
      retryAfterMs: Math.max(waitMs, 1000),
    });
  }

  /** The old code is void at once; the new one is shown at once and sealed into the database. */
  async #renewCode(): Promise<void> {
    const { machine, storage, key } = this.#parts;
    const code = newSetupCode(machine.random(setupCodeCharacters));
    this.#code = code;
    this.#wrong = 0;
    for (const show of this.#listeners) show(code);
    const sealed = key.seal(new TextEncoder().encode(code), sealContext, machine.random(12));
    try {
      await storage.write(
        (tx) =>
          tx.run(
            `INSERT INTO security_machine (id, key_check, setup_code) VALUES (1, ?, ?)
             ON CONFLICT (id) DO UPDATE SET key_check = excluded.key_check,
               setup_code = excluded.setup_code WHERE claimed_at IS NULL`,
            ...[key.check, sealed],
          ),
        { essential: true },
      );
    } catch (error) {
      storage.logs.append({
        app: "kernel",
        appId: null,
        releaseId: null,
        level: "error",
        text: `security: cannot keep the setup code over a restart: ${String(error)}`,
      });
    }
  }

  #unsealCode(row: MachineRow | null): string | null {
    if (row === null || row.setup_code === null) return null;
    try {
      return new TextDecoder().decode(this.#parts.key.unseal(row.setup_code, sealContext));
    } catch {
      // Sealed by a key that was lost before anything depended on it: another code will do.
      return null;
    }
  }
}

function assertRowUnclaimed(tx: Tx): void {
  const row = tx.get<{ claimed_at: number | null }>(
    "SELECT claimed_at FROM security_machine WHERE id = 1",
  );
  if (row !== null && row.claimed_at !== null) throw alreadyClaimed();
}

function alreadyClaimed(): SysError {
  return new SysError("EEXIST", "cannot claim this machine: it has an owner", { hint: "log in" });
}

function wrongCode(left: number | null): SysError {
  const tries = left === null ? "" : `; ${left} ${left === 1 ? "try is" : "tries are"} left`;
  return new SysError("EACCES", "cannot claim this machine: wrong setup code", {
    hint: `read the code from the machine's console${tries}`,
  });
}
