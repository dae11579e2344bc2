/**
 * Logging in: a password or a token becomes a session.
 *
 * Rules: a login costs the same work and gives the same refusal whether the name exists or not;
 * an account is slowed and never locked, and an address that has a session of the account is not
 * slowed by what others try on it, nor kept waiting behind them; a session begins only if what proved it still holds when it is
 * written.
 */
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Tx } from "../storage/mod.ts";
import type { Credential } from "./credential.ts";
import { nameCharactersMax, sessionLifeMs, sessionsPerUserMax } from "./limits.ts";
import { assertPassword } from "./password.ts";
import type { Login, Session } from "./security.ts";
import { type Account, addressKey } from "./slowing.ts";
import { type AccountParts, findUser, rootId, type User, userInfo } from "./user.ts";

export class Logins {
  readonly #parts: AccountParts;

  constructor(parts: AccountParts) {
    this.#parts = parts;
  }

  async login({ user = "root", password, token }: Login, address: string | null): Promise<Session> {
    if ((token === undefined) === (password === undefined)) {
      throw new SysError("EINVAL", "cannot log in: give either a password or a token", {
        hint: "send user and password, or token alone",
      });
    }
    return await this.#tried(address, () =>
      token === undefined
        ? this.#loginByPassword({ user, password: password ?? "" }, address)
        : this.#loginByToken(token, address),
    );
  }

  /** Counts a try of this address; not when it succeeds, nor when it was not even judged. */
  async #tried<T>(address: string | null, work: () => Promise<T>): Promise<T> {
    const tried = this.#parts.slowing.enter(address);
    try {
      const done = await work();
      tried.giveBack();
      return done;
    } catch (error) {
      if (error instanceof SysError && error.code === "EAGAIN") tried.giveBack();
      throw error;
    }
  }

  async #loginByToken(secret: string, address: string | null): Promise<Session> {
    const token = this.#parts.credentials.find("token", secret);
    const user = token === null ? null : findUser(this.#parts.storage.read, { id: token.userId });
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
    const user = findUser(this.#parts.storage.read, { name });
    await this.#judged({ id: user?.id ?? null, name }, address, (known) =>
      passwords.verify(who.password, user?.passwordHash ?? null, known),
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
    account: Account,
    address: string | null,
    check: (known: boolean) => Promise<boolean>,
  ): Promise<void> {
    const { slowing, credentials } = this.#parts;
    const key = addressKey(address);
    const known = credentials.knows(account.id ?? "", key);
    if (!known) slowing.checkAccount(account);
    if (await check(known)) return slowing.clearAccount(account);
    slowing.failAccount(account);
    throw rejected("wrong name or password");
  }

  /** Makes the session, if what proved the caller still holds when it is written. */
  async #begin(
    user: User,
    address: string | null,
    proof: { readonly token: Credential | null; holds(tx: Tx): boolean },
  ): Promise<Session> {
    const { machine, storage, credentials } = this.#parts;
    const life = machine.now() + sessionLifeMs;
    const expiresAt = Math.min(life, proof.token?.expiresAt ?? life);
    const session = await storage.write(
      (tx) => {
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
      },
      { essential: true },
    );
    credentials.forget();
    return session;
  }

  async logout(session: string): Promise<void> {
    const { storage, credentials } = this.#parts;
    const found = credentials.find("session", session);
    if (found === null) return;
    await storage.write((tx) => credentials.end(tx, "id = ?", found.id), { essential: true });
    credentials.forget();
  }

  /**
   * Makes sure that it is root who does this, and away from the machine that they know the password
   * now: a session or a token that was stolen is not enough. EPERM, EKEYREJECTED, EAGAIN.
   */
  async confirm(from: Caller, current: string | null, action: string): Promise<void> {
    const { storage, passwords } = this.#parts;
    const root = findUser(storage.read, { id: rootId });
    if (root === null || from.kind !== "owner" || !from.grants.includes("*")) {
      throw new SysError("EPERM", `cannot ${action}: the caller is not root`, {
        hint: "do it at the machine itself, or log in as root",
      });
    }
    if (from.via === "socket" || from.via === "boot") return;
    if (current === null) throw rejected("the current password is needed");
    const check = (known: boolean) => passwords.verify(current, root.passwordHash, known);
    await this.#tried(from.address, () => this.#judged(root, from.address, check));
  }

  async rootPass(
    from: Caller,
    change: { readonly password: string; readonly current: string | null },
  ): Promise<void> {
    const { storage, passwords, credentials } = this.#parts;
    await this.confirm(from, change.current, "change the root password");
    const owner = this.#parts.owner();
    assertPassword(change.password, owner === null ? [] : [owner.domain, owner.email]);
    const passwordHash = await passwords.hash(change.password);
    await storage.write(
      (tx) => {
        tx.run("UPDATE security_user SET password_hash = ? WHERE id = ?", passwordHash, rootId);
        const others = "user_id = ? AND kind = 'session' AND id <> ?";
        credentials.end(tx, others, rootId, from.credentialId ?? "");
      },
      { essential: true },
    );
    credentials.forget();
  }
}

function rejected(why: string): SysError {
  return new SysError("EKEYREJECTED", `cannot log in: ${why}`, {
    hint: "check both; at the machine itself fazt security root-pass sets a new password",
  });
}
