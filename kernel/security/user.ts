/**
 * Users: root, who owns the machine, and named ones with fewer rights; their logins and tokens.
 *
 * Rules: nobody gives rights they do not hold (EPERM); a login costs the same work and gives the
 * same refusal whether the name exists or not; an account is slowed and never locked, and an
 * address that has a session of the account is not slowed by what others try on it.
 */
import { allows, type Caller, type Capability } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Storage, Tx } from "../storage/mod.ts";
import type { Credential, Credentials } from "./credential.ts";
import {
  capabilitiesMax,
  nameCharactersMax,
  sessionLifeMs,
  sessionsPerUserMax,
  tokenLifeMaxMs,
  tokensMax,
  usersMax,
} from "./limits.ts";
import { assertPassword, type Passwords } from "./password.ts";
import type { Login, NewToken, Owner, Session, TokenInfo, UserInfo } from "./security.ts";
import { addressKey, type Slowing } from "./slowing.ts";

export const rootId = "root";

interface User extends UserInfo {
  readonly passwordHash: string;
}

interface Row {
  id: string;
  name: string;
  password_hash: string;
  capabilities: string;
  created_at: number;
}

const columns = "id, name, password_hash, capabilities, created_at";

const fromRow = (row: Row): User => ({
  id: row.id,
  name: row.name,
  capabilities: JSON.parse(row.capabilities) as string[],
  createdAt: row.created_at,
  passwordHash: row.password_hash,
});

const userInfo = ({ id, name, capabilities, createdAt }: User): UserInfo => ({
  id,
  name,
  capabilities,
  createdAt,
});

const tokenInfo = ({ kind: _, ...rest }: Credential): TokenInfo => rest;

export function newToken(issued: { credential: Credential; secret: string }): NewToken {
  return { ...tokenInfo(issued.credential), token: issued.secret };
}

export function insertUser(tx: Tx, user: User): void {
  tx.run(
    `INSERT INTO security_user (${columns}) VALUES (?, ?, ?, ?, ?)`,
    ...[user.id, user.name, user.passwordHash, JSON.stringify(user.capabilities), user.createdAt],
  );
}

/** Capabilities a giver may pass on, each once. EINVAL (shape), EPERM (more than the giver's). */
export function parseGrants(grants: readonly string[], capabilities: readonly string[]): string[] {
  const wanted = [...new Set(capabilities)];
  if (wanted.length === 0 || wanted.length > capabilitiesMax) {
    throw new SysError("EINVAL", `cannot grant ${wanted.length} capabilities: 1 to 64 are needed`, {
      hint: 'name what it may do, such as "app:deploy" or "fs:*"',
    });
  }
  const bad = wanted.find((one) => !/^(\*|[a-z][a-z0-9-]*:(\*|[a-z][a-z0-9-]*))$/.test(one));
  if (bad !== undefined) {
    throw new SysError("EINVAL", `cannot grant "${bad.slice(0, 80)}": not a capability`, {
      hint: 'write "domain:verb", "domain:*" or "*"',
    });
  }
  const beyond = wanted.find((one) => !allows(grants, one as Capability));
  if (beyond === undefined) return wanted;
  throw new SysError("EPERM", `cannot grant "${beyond}": the giver does not hold it`, {
    hint: "grant only what you hold yourself: fazt security whoami",
  });
}

export interface UserParts {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly passwords: Passwords;
  readonly credentials: Credentials;
  readonly slowing: Slowing;
  readonly owner: () => Owner | null;
}

export class Users {
  readonly #parts: UserParts;

  constructor(parts: UserParts) {
    this.#parts = parts;
  }

  ls(): UserInfo[] {
    const select = `SELECT ${columns} FROM security_user ORDER BY created_at, name`;
    return this.#parts.storage.read.all<Row>(select).map((row) => userInfo(fromRow(row)));
  }

  async add(
    from: Caller,
    user: { name: string; password: string; capabilities: string[] },
  ): Promise<UserInfo> {
    const { machine, storage, passwords } = this.#parts;
    this.#giver(from);
    const { name } = user;
    if (!/^[a-z][a-z0-9-]{1,31}$/.test(name)) {
      throw new SysError("EINVAL", `cannot add user "${name.slice(0, 80)}": not a user name`, {
        hint: "use 2 to 32 of a-z, 0-9 and -, a letter first",
      });
    }
    const capabilities = parseGrants(from.grants, user.capabilities);
    if (this.#byName(name) !== null) throw nameTaken(name);
    assertPassword(user.password, [name, ...this.#aboutOwner()]);
    const passwordHash = await passwords.hash(user.password);
    const added = { id: machine.id("usr"), name, capabilities, createdAt: machine.now() };
    await storage.write((tx) => {
      const row = tx.get<{ n: number }>("SELECT count(*) AS n FROM security_user");
      if ((row?.n ?? 0) >= usersMax) throw full("users", usersMax);
      if (tx.get("SELECT id FROM security_user WHERE name = ?", name) !== null)
        throw nameTaken(name);
      insertUser(tx, { ...added, passwordHash });
    });
    return added;
  }

  async rm(from: Caller, name: string): Promise<void> {
    const { storage, credentials, slowing } = this.#parts;
    const user = this.#byName(name);
    if (user === null) {
      throw new SysError("ENOENT", `cannot remove user "${name.slice(0, 80)}": no such user`, {
        hint: "fazt security user ls",
      });
    }
    if (
      user.id === rootId ||
      !user.capabilities.every((one) => allows(from.grants, one as Capability))
    ) {
      throw new SysError("EPERM", `cannot remove user "${name}": more rights than the caller's`, {
        hint: user.id === rootId ? "root always stays" : "ask the owner",
      });
    }
    await storage.write((tx) => {
      tx.run("DELETE FROM security_user WHERE id = ?", user.id);
      credentials.end(tx, "user_id = ?", user.id);
    });
    credentials.forget();
    slowing.clearAccount(user);
  }

  async login({ user = "root", password, token }: Login, address: string | null): Promise<Session> {
    if ((token === undefined) === (password === undefined)) {
      throw new SysError("EINVAL", "cannot log in: give either a password or a token", {
        hint: "send user and password, or token alone",
      });
    }
    const tried = this.#parts.slowing.enter(address);
    const session =
      token === undefined
        ? await this.#loginByPassword({ user, password: password ?? "" }, address)
        : await this.#loginByToken(token, address);
    tried.giveBack();
    return session;
  }

  async #loginByToken(secret: string, address: string | null): Promise<Session> {
    const token = this.#parts.credentials.find("token", secret);
    const user = token === null ? null : this.#byId(token.userId);
    if (token === null || user === null) throw rejected("the token is not valid");
    const stays = "SELECT id FROM security_credential WHERE id = ?";
    return this.#begin({ ...user, capabilities: token.capabilities }, address, {
      token,
      holds: (tx) => tx.get(stays, token.id) !== null,
    });
  }

  async #loginByPassword(
    who: { user: string; password: string },
    address: string | null,
  ): Promise<Session> {
    const { passwords } = this.#parts;
    const name = who.user.trim().toLowerCase().slice(0, nameCharactersMax);
    const user = this.#byName(name);
    await this.#judged({ id: user?.id ?? null, name }, address, () =>
      passwords.verify(who.password, user?.passwordHash ?? null),
    );
    if (user === null) throw rejected("wrong name or password");
    const same = "SELECT id FROM security_user WHERE id = ? AND password_hash = ?";
    return this.#begin(user, address, {
      token: null,
      holds: (tx) => tx.get(same, user.id, user.passwordHash) !== null,
    });
  }

  /** Runs a check of a password under the slowing of its account. EAGAIN, EKEYREJECTED. */
  async #judged(
    account: { id: string | null; name: string },
    address: string | null,
    check: () => Promise<boolean>,
  ): Promise<void> {
    const { slowing, credentials } = this.#parts;
    const key = addressKey(address);
    if (!credentials.knows(account.id ?? "", key)) slowing.checkAccount(account);
    if (await check()) return slowing.clearAccount(account);
    slowing.failAccount(account);
    throw rejected("wrong name or password");
  }

  /** Makes the session, if what proved the caller still holds when it is written. */
  #begin(
    user: User,
    address: string | null,
    proof: { readonly token: Credential | null; holds(tx: Tx): boolean },
  ): Promise<Session> {
    const { machine, storage, credentials } = this.#parts;
    const life = machine.now() + sessionLifeMs;
    const expiresAt = Math.min(life, proof.token?.expiresAt ?? life);
    return storage.write((tx) => {
      if (!proof.holds(tx)) throw rejected("the credentials have just changed");
      const beyond = `SELECT id FROM security_credential WHERE user_id = ? AND kind = 'session'
        ORDER BY id DESC LIMIT -1 OFFSET ?`;
      credentials.end(tx, `id IN (${beyond})`, user.id, sessionsPerUserMax - 1);
      const { secret } = credentials.issue(tx, {
        kind: "session",
        userId: user.id,
        name: user.name,
        capabilities: user.capabilities,
        expiresAt,
        address: addressKey(address),
        ...(proof.token === null ? {} : { parentId: proof.token.id }),
      });
      return { session: secret, user: userInfo(user), expiresAt };
    });
  }

  async logout(session: string): Promise<void> {
    const { storage, credentials } = this.#parts;
    const found = credentials.find("session", session);
    if (found === null) return;
    await storage.write((tx) => credentials.end(tx, "id = ?", found.id));
    credentials.forget();
  }

  async rootPass(
    from: Caller,
    change: { readonly password: string; readonly current: string | null },
  ): Promise<void> {
    const { storage, passwords, credentials, slowing } = this.#parts;
    const root = this.#byId(rootId);
    if (root === null || from.kind !== "owner" || !from.grants.includes("*")) {
      throw new SysError("EPERM", "cannot change the root password: the caller is not root", {
        hint: "use fazt security root-pass at the machine, or log in as root",
      });
    }
    if (from.via !== "socket" && from.via !== "boot") {
      const { current } = change;
      if (current === null) throw rejected("the current password is needed");
      const tried = slowing.enter(from.address);
      await this.#judged(root, from.address, () => passwords.verify(current, root.passwordHash));
      tried.giveBack();
    }
    assertPassword(change.password, this.#aboutOwner());
    const passwordHash = await passwords.hash(change.password);
    await storage.write((tx) => {
      tx.run("UPDATE security_user SET password_hash = ? WHERE id = ?", passwordHash, rootId);
      const others = "user_id = ? AND kind = 'session' AND id <> ?";
      credentials.end(tx, others, rootId, from.credentialId ?? "");
    });
    credentials.forget();
  }

  async addToken(
    from: Caller,
    token: { name: string; capabilities: string[]; ttlMs: number | null },
  ): Promise<NewToken> {
    const { machine, storage, credentials } = this.#parts;
    const userId = this.#giver(from);
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
      const stays = tx.get("SELECT id FROM security_user WHERE id = ?", userId) !== null;
      if (!stays) throw noGiver();
      const count = "SELECT count(*) AS n FROM security_credential WHERE kind = 'token'";
      if ((tx.get<{ n: number }>(count)?.n ?? 0) >= tokensMax) throw full("tokens", tokensMax);
      return newToken(
        credentials.issue(tx, { kind: "token", userId, name, capabilities, expiresAt }),
      );
    });
  }

  lsTokens(): TokenInfo[] {
    return this.#parts.credentials.ls("token").map(tokenInfo);
  }

  async rmToken(from: Caller, id: string): Promise<void> {
    const { storage, credentials } = this.#parts;
    const token = this.lsTokens().find((one) => one.id === id);
    if (token === undefined) {
      throw new SysError("ENOENT", `cannot remove token "${id.slice(0, 80)}": no such token`, {
        hint: "fazt security token ls",
      });
    }
    if (!token.capabilities.every((one) => allows(from.grants, one as Capability))) {
      throw new SysError("EPERM", `cannot remove token "${id}": more rights than the caller's`, {
        hint: "ask the owner",
      });
    }
    await storage.write((tx) => credentials.end(tx, "id = ?", id));
    credentials.forget();
  }

  /** The user who gives rights. EPERM for apps, strangers and before the claim. */
  #giver(from: Caller): string {
    if (from.userId !== null && from.appId === null && this.#byId(from.userId) !== null) {
      return from.userId;
    }
    throw noGiver();
  }

  #aboutOwner(): string[] {
    const owner = this.#parts.owner();
    return owner === null ? [] : [owner.domain, owner.email];
  }

  #byName(name: string): User | null {
    return this.#row("name", name);
  }

  #byId(id: string): User | null {
    return this.#row("id", id);
  }

  #row(column: "id" | "name", value: string): User | null {
    const select = `SELECT ${columns} FROM security_user WHERE ${column} = ?`;
    const row = this.#parts.storage.read.get<Row>(select, value);
    return row === null ? null : fromRow(row);
  }
}

function rejected(why: string): SysError {
  return new SysError("EKEYREJECTED", `cannot log in: ${why}`, {
    hint: "check both; at the machine itself fazt security root-pass sets a new password",
  });
}

function noGiver(): SysError {
  return new SysError("EPERM", "cannot give rights: the caller is no user of this machine", {
    hint: "log in; on a machine without an owner, claim it first",
  });
}

function nameTaken(name: string): SysError {
  return new SysError("EEXIST", `cannot add user "${name}": the name is taken`, {
    hint: "fazt security user ls",
  });
}

function full(what: string, max: number): SysError {
  return new SysError("EDQUOT", `cannot add more ${what}: there are ${max}`, {
    hint: "remove some first",
  });
}
