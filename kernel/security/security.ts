/**
 * The security domain's interface: who may do what, and the record of what was done.
 *
 * Rules: an unclaimed machine knows nobody but its setup code; passwords are argon2id; tokens and
 * sessions are random and stored hashed; secrets are sealed with the machine key and never
 * printed; a refused login costs the same time whether the name exists or not.
 */
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Left, Storage } from "../storage/mod.ts";
import { createAudit } from "./audit.ts";
import { Claims, readMachine } from "./claim.ts";
import { type Credentials, createCredentials } from "./credential.ts";
import { keyToKeep, openKey, putKeyBack, renewKey } from "./key.ts";
import { afreshAfterMs } from "./limits.ts";
import { Logins } from "./login.ts";
import { createPasswords } from "./password.ts";
import { Recovery } from "./recovery.ts";
import { noteSeed, readSeed, type SeedNote } from "./seed.ts";
import { createSigning, type Signing } from "./signing/mod.ts";
import { createSlowing } from "./slowing.ts";
import { Tokens } from "./token.ts";
import { Users } from "./user.ts";

/** The identity of a claimed machine; `claimedAt` in Unix ms. */
export interface Owner {
  readonly domain: string;
  readonly email: string;
  readonly claimedAt: number;
}

export interface Claim {
  readonly code: string;
  readonly rootPass: string;
  readonly domain: string;
  readonly email: string;
}

/** A claim by the owner at the machine: with the password itself, or with its argon2id hash. */
export type LocalClaim = Omit<Claim, "code" | "rootPass"> &
  ({ readonly rootPass: string } | { readonly rootPassHash: string });

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

/** What a login is tried with: a name and its password, or a token alone. */
export interface Login {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
}

/** A login: the secret of a session (given once), whose it is, and until when (Unix ms). */
export interface Session {
  readonly session: string;
  readonly user: UserInfo;
  readonly expiresAt: number;
}

/** Who a caller is, as `whoami` tells it. */
export interface Identity {
  readonly kind: "owner" | "user" | "app";
  readonly via: Caller["via"];
  readonly userId: string | null;
  readonly appId: string | null;
  readonly capabilities: string[];
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
  owner(): Owner | null;
  /** The code that claims the machine; null once it is claimed. Changes after 5 wrong tries. */
  setupCode(): string | null;
  /** Calls `show` with each new setup code from now on: the console's matter. */
  onSetupCode(show: (code: string) => void): void;
  /** EACCES (wrong code), EAGAIN (too many wrong codes: a new one was made), EEXIST, EINVAL. */
  claim(claim: Claim, address: string | null): Promise<NewToken>;
  /** Passes with the setup code of an unclaimed machine. EEXIST, EACCES, EAGAIN, as a claim does. */
  checkSetupCode(code: string, address: string | null): Promise<void>;
  /** Claims without a code: only for the owner at the machine. EEXIST, EINVAL. */
  claimLocally(claim: LocalClaim): Promise<void>;
  /** Takes one more setup code by its argon2id hash, until the claim. EEXIST, EINVAL. */
  bringCode(hash: string): Promise<void>;
  /** What first boot has done on this machine; null when nothing. */
  seed(): SeedNote | null;
  /** Notes what first boot has done. */
  noteSeed(note: SeedNote): Promise<void>;
  /** A session secret for a cookie. EKEYREJECTED, EAGAIN (slowed, with retryAfterMs), EINVAL. */
  login(who: Login, address: string | null): Promise<Session>;
  /** Ends a session, if it is one. */
  logout(session: string): Promise<void>;
  /** While true another kernel works on this database too: what it ends has ended here at once. */
  share(shared: boolean): void;
  /** Who holds this bearer token or session secret; null when nobody does (any more). */
  authenticate(
    credential: { kind: "token" | "session"; secret: string },
    address: string | null,
  ): Caller | null;
  /** ENOKEY for a caller without credentials. */
  whoami(from: Caller): Identity;
  /**
   * Changes the root password and ends root's other sessions; tokens stay. Away from the machine
   * the current one must be given. EPERM (not root), EKEYREJECTED (current), EINVAL, EAGAIN.
   */
  rootPass(
    from: Caller,
    change: { readonly password: string; readonly current: string | null },
  ): Promise<void>;
  /**
   * Replaces a forgotten root password: every session and token of the machine ends, and the owner
   * is told until they acknowledge it. EPERM (not at the machine, or not claimed), EINVAL, EAGAIN.
   */
  recover(from: Caller, password: string): Promise<void>;
  /** When the root password was replaced at the machine, Unix ms; null once acknowledged. */
  recoveredAt(): number | null;
  /** The owner has seen that the password was replaced. */
  acknowledge(): Promise<void>;
  /** EINVAL (no DNS name), EPERM (not claimed). */
  setDomain(domain: string): Promise<void>;

  tokens: {
    /** EINVAL, EPERM when the grants are more than the caller's own. */
    add(
      from: Caller,
      token: { name: string; capabilities: string[]; ttlMs: number | null },
    ): Promise<NewToken>;
    ls(): TokenInfo[];
    /** Ends it and its sessions at once. ENOENT, EPERM when its rights exceed the caller's. */
    rm(from: Caller, id: string): Promise<void>;
  };
  users: {
    /** EINVAL (name, password, capability), EEXIST, EPERM (more than the caller's grants). */
    add(
      from: Caller,
      user: { name: string; password: string; capabilities: string[] },
    ): Promise<UserInfo>;
    ls(): UserInfo[];
    /** Removes a user with all tokens and sessions. ENOENT, EPERM (root, more rights). */
    rm(from: Caller, name: string): Promise<void>;
    /** The same, and with everything they wrote; what must stay forgets them. */
    erase(from: Caller, name: string): Promise<{ removed: number; forgotten: number }>;
    /** Every row that carries the user's id. ENOENT, EPERM (more rights). */
    left(from: Caller, name: string): Generator<Left>;
  };

  /** Seals bytes with the machine key (AES-256-GCM), bound to a context string. */
  seal(plain: Uint8Array, context: string): Uint8Array;
  /** EBADMSG when the bytes, the key or the context are not the ones that sealed. */
  unseal(sealed: Uint8Array, context: string): Uint8Array;

  /** The machine key: whether it is the one of this database, and two ways out when it is not. */
  key: {
    held(): boolean;
    /** The 32 bytes, for a copy elsewhere. EPERM, EKEYREJECTED, EAGAIN (password), ENOENT (lost). */
    show(from: Caller, current: string | null): Promise<Uint8Array>;
    /** Puts it back; then the machine starts afresh. EINVAL, EKEYREJECTED. */
    set(key: Uint8Array): void;
    /** Makes a new one: what the lost one sealed is lost. EEXIST while the key is held. */
    renew(): Promise<void>;
  };

  /** What apps sign for their own users. */
  readonly signing: Signing;

  audit: {
    /** Recorded with the next group of writes; awaited only by who needs it durable. */
    add(entry: Omit<AuditEntry, "id" | "at">): Promise<void>;
    ls(query: { limit: number; before: number | null; call: string | null }): AuditEntry[];
  };
}

/** What the security domain stands on. */
export interface SecurityOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  /** Holds `machine.key`. */
  readonly dataDir: string;
  /** Ends this kernel and begins the next one, which opens what was sealed. */
  readonly startAfresh?: (reason: string) => void;
}

/** Makes the domain. EBADMSG or EACCES when the machine key is damaged or cannot be read. */
export function createSecurity(options: SecurityOptions): Security {
  const { machine, storage, dataDir } = options;
  const row = readMachine(storage);
  const claimed = row !== null && row.claimed_at !== null;
  const known = { check: row?.key_check ?? null, claimed };
  const key = openKey(dataDir, known, (n) => machine.random(n));
  const held = !claimed || known.check === null || key.check === known.check;
  if (!held) tellLostKey(storage);
  const audit = createAudit(machine, storage);
  const credentials = createCredentials(machine, storage);
  const parts = { machine, storage, credentials, passwords: createPasswords() };
  const slowing = createSlowing(machine);
  const claims = new Claims({ ...parts, key, slowing, audit }, row);
  const owner = () => claims.owner();
  const users = new Users({ ...parts, slowing, owner });
  const logins = new Logins({ ...parts, slowing, owner });
  const tokens = new Tokens(parts);
  const recovery = new Recovery({ ...parts, slowing, owner });
  storage.onGc("security", async () => ({
    rows: (await credentials.sweep()) + (await audit.trim()),
    bytes: 0,
  }));
  const sealing: Pick<Security, "seal" | "unseal"> = {
    seal: (plain, context) => key.seal(plain, context, machine.random(12)),
    unseal: (sealed, context) => key.unseal(sealed, context),
  };
  const signing = createSigning({ machine, storage, ...sealing });
  return {
    owner,
    setupCode: () => claims.setupCode(),
    onSetupCode: (show) => claims.onSetupCode(show),
    claim: (claim, address) => claims.claim(claim, address),
    checkSetupCode: async (code, address) => {
      await claims.checkCode(code, address);
    },
    claimLocally: (claim) => claims.claimLocally(claim),
    bringCode: (hash) => claims.bringCode(hash),
    seed: () => readSeed(storage),
    noteSeed: (note) => noteSeed(storage, { keyCheck: key.check, note }),
    setDomain: (domain) => claims.setDomain(domain),
    login: (who, address) => logins.login(who, address),
    logout: (session) => logins.logout(session),
    share: (shared) => credentials.share(shared),
    rootPass: (from, change) => logins.rootPass(from, change),
    recover: (from, password) => recovery.recover(from, password),
    recoveredAt: () => recovery.recoveredAt(),
    acknowledge: () => recovery.acknowledge(),
    authenticate: (credential, address) => callerOf(credentials, credential, address),
    whoami,
    tokens: {
      add: (from, token) => tokens.add(from, token),
      ls: () => tokens.ls(),
      rm: (from, id) => tokens.rm(from, id),
    },
    users: {
      add: (from, user) => users.add(from, user),
      ls: () => users.ls(),
      rm: (from, name) => users.rm(from, name),
      erase: (from, name) => users.erase(from, name),
      left: (from, name) => users.left(from, name),
    },
    ...sealing,
    key: keeping(options, held, (from, current) =>
      logins.confirm(from, current, "show the machine key"),
    ),
    signing,
    audit: { add: (entry) => audit.add(entry), ls: (query) => audit.ls(query) },
  };
}

/** The ways out when the key is lost, which is not `held` then. */
function keeping(
  options: SecurityOptions,
  held: boolean,
  confirm: (from: Caller, current: string | null) => Promise<void>,
): Security["key"] {
  const { machine, storage, dataDir, startAfresh = () => undefined } = options;
  // Who asked hears of it first.
  const afresh = (why: string) => machine.after(afreshAfterMs, () => startAfresh(why));
  return {
    held: () => held,
    show: async (from, current) => {
      await confirm(from, current);
      return keyToKeep(dataDir, readMachine(storage)?.key_check ?? null);
    },
    set: (key) => {
      // As it is now: the claim has written it, if it was not there before.
      putKeyBack(dataDir, key, readMachine(storage)?.key_check ?? null);
      if (!held) afresh("its machine key is back");
    },
    renew: async () => {
      if (held) {
        throw new SysError("EEXIST", "cannot renew the machine key: the one there is not lost", {
          hint: "nothing needs to be done",
        });
      }
      const set = "UPDATE security_machine SET key_check = ? WHERE id = 1";
      const note = async (fresh: string) => {
        await storage.write((tx) => tx.run(set, fresh), { essential: true });
      };
      await renewKey(dataDir, (n) => machine.random(n), note);
      afresh("it has a new machine key");
    },
  };
}

/** The caller a credential proves; who holds every right is the owner, whatever their name. */
function callerOf(
  credentials: Credentials,
  { kind, secret }: { kind: "token" | "session"; secret: string },
  address: string | null,
): Caller | null {
  const credential = credentials.find(kind, secret);
  if (credential === null) return null;
  return {
    kind: credential.capabilities.includes("*") ? "owner" : "user",
    via: kind,
    userId: credential.userId,
    appId: null,
    releaseId: null,
    grants: credential.capabilities,
    credentialId: credential.id,
    address,
  };
}

function whoami({ kind, via, userId, appId, grants }: Caller): Identity {
  if (kind === "anonymous") {
    throw new SysError("ENOKEY", "cannot tell who calls: no credentials were sent", {
      hint: "log in, or send a token: Authorization: Bearer fazt_…",
    });
  }
  return { kind, via, userId, appId, capabilities: [...grants] };
}

function tellLostKey(storage: Storage): void {
  storage.logs.append({
    app: "kernel",
    appId: null,
    releaseId: null,
    level: "error",
    text: "security: machine.key is not the one of this database: secrets cannot be read",
  });
}
