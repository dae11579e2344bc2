/**
 * Users: root, who owns the machine, and named ones with the rights they were given. Root always
 * stays; removing a user ends all their tokens and sessions.
 */
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Left, Reader, Storage, Tx } from "../storage/mod.ts";
import type { Credentials } from "./credential.ts";
import { assertHolds, full, giverId, parseGrants } from "./grant.ts";
import { usersMax } from "./limits.ts";
import { assertPassword, type Passwords } from "./password.ts";
import type { Owner, UserInfo } from "./security.ts";
import type { Slowing } from "./slowing.ts";

export const rootId = "root";

export interface User extends UserInfo {
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

export const userInfo = ({ id, name, capabilities, createdAt }: User): UserInfo => ({
  id,
  name,
  capabilities,
  createdAt,
});

export function insertUser(tx: Tx, user: User): void {
  tx.run(
    `INSERT INTO security_user (${columns}) VALUES (?, ?, ?, ?, ?)`,
    ...[user.id, user.name, user.passwordHash, JSON.stringify(user.capabilities), user.createdAt],
  );
}

export function findUser(
  read: Reader,
  by: { readonly id: string } | { readonly name: string },
): User | null {
  const [column, value] = "id" in by ? ["id", by.id] : ["name", by.name];
  const select = `SELECT ${columns} FROM security_user WHERE ${column} = ?`;
  const row = read.get<Row>(select, value);
  return row === null ? null : fromRow(row);
}

/** What those who log in and those who are kept are made of. */
export interface AccountParts {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly passwords: Passwords;
  readonly credentials: Credentials;
  readonly slowing: Slowing;
  readonly owner: () => Owner | null;
}

export class Users {
  readonly #parts: AccountParts;

  constructor(parts: AccountParts) {
    this.#parts = parts;
  }

  ls(): UserInfo[] {
    const select = `SELECT ${columns} FROM security_user ORDER BY rowid`;
    return this.#parts.storage.read.all<Row>(select).map((row) => userInfo(fromRow(row)));
  }

  async add(
    from: Caller,
    user: { name: string; password: string; capabilities: string[] },
  ): Promise<UserInfo> {
    const { machine, storage, passwords } = this.#parts;
    giverId(from, storage.read);
    const { name } = user;
    if (!/^[a-z][a-z0-9-]{1,31}$/.test(name)) {
      throw new SysError("EINVAL", `cannot add user "${name.slice(0, 80)}": not a user name`, {
        hint: "use 2 to 32 of a-z, 0-9 and -, a letter first",
      });
    }
    const capabilities = parseGrants(from.grants, user.capabilities);
    if (findUser(storage.read, { name }) !== null) throw nameTaken(name);
    const owner = this.#parts.owner();
    assertPassword(user.password, owner === null ? [name] : [name, owner.domain, owner.email]);
    const passwordHash = await passwords.hash(user.password);
    const added = { id: machine.id("usr"), name, capabilities, createdAt: machine.now() };
    await storage.write((tx) => {
      const row = tx.get<{ n: number }>("SELECT count(*) AS n FROM security_user");
      if ((row?.n ?? 0) >= usersMax) throw full("users", usersMax);
      if (findUser(tx, { name }) !== null) throw nameTaken(name);
      insertUser(tx, { ...added, passwordHash });
    });
    return added;
  }

  async rm(from: Caller, name: string): Promise<void> {
    const user = this.#removable(from, name);
    await this.#parts.storage.write((tx) => this.#end(tx, user.id), { essential: true });
    this.#forget(user);
  }

  /** The account and what it wrote, in one write. */
  async erase(from: Caller, name: string): Promise<{ removed: number; forgotten: number }> {
    const user = this.#removable(from, name);
    const done = await this.#parts.storage.users.erase(user.id, (tx) => this.#end(tx, user.id));
    this.#forget(user);
    return done;
  }

  /** Every row that carries the user's id. ENOENT, EPERM (more rights than the caller's). */
  left(from: Caller, name: string): Generator<Left> {
    const user = this.#named(name, "export");
    assertHolds(from, user.capabilities, `export user "${name}"`);
    return withAccount(userInfo(user), this.#parts.storage.users.rows(user.id));
  }

  #named(name: string, action: string): User {
    const user = findUser(this.#parts.storage.read, { name });
    if (user !== null) return user;
    throw new SysError("ENOENT", `cannot ${action} user "${name.slice(0, 80)}": no such user`, {
      hint: "fazt security user ls",
    });
  }

  #removable(from: Caller, name: string): User {
    const user = this.#named(name, "remove");
    if (user.id === rootId) {
      throw new SysError("EPERM", 'cannot remove user "root": root always stays', {
        hint: "change its password instead: fazt security root-pass",
      });
    }
    assertHolds(from, user.capabilities, `remove user "${name}"`);
    return user;
  }

  #end(tx: Tx, userId: string): void {
    tx.run("DELETE FROM security_user WHERE id = ?", userId);
    this.#parts.credentials.end(tx, "user_id = ?", userId);
  }

  #forget(user: User): void {
    this.#parts.credentials.forget();
    this.#parts.slowing.clearAccount(user);
  }
}

function* withAccount(account: UserInfo, rows: Iterable<Left>): Generator<Left> {
  yield { table: "security_user", row: { ...account } };
  yield* rows;
}

function nameTaken(name: string): SysError {
  return new SysError("EEXIST", `cannot add user "${name}": the name is taken`, {
    hint: "fazt security user ls",
  });
}
