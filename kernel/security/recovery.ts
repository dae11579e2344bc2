/**
 * Recovery: whoever stands at the machine may replace a root password that nobody knows any more.
 *
 * Rules: only the machine's own channels (control socket, boot) may do it; every session and token
 * ends with it, because nobody can say who holds them; that it happened stays on record and is
 * told until the owner acknowledges it.
 */
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import { assertPassword } from "./password.ts";
import { type AccountParts, findUser, rootId } from "./user.ts";

export class Recovery {
  readonly #parts: AccountParts;

  constructor(parts: AccountParts) {
    this.#parts = parts;
  }

  async recover(from: Caller, password: string): Promise<void> {
    const { machine, storage, passwords, credentials, slowing } = this.#parts;
    const owner = this.#parts.owner();
    const root = findUser(storage.read, { id: rootId });
    if (owner === null || root === null || (from.via !== "socket" && from.via !== "boot")) {
      throw new SysError("EPERM", "cannot replace the root password: the caller is not at hand", {
        hint: "at the machine's console: boot menu, recovery; a claimed machine only",
      });
    }
    assertPassword(password, [owner.domain, owner.email]);
    const hash = await passwords.hash(password);
    await storage.write(
      (tx) => {
        tx.run("UPDATE security_user SET password_hash = ? WHERE id = ?", hash, rootId);
        tx.run("UPDATE security_machine SET recovered_at = ? WHERE id = 1", machine.now());
        credentials.end(tx, "TRUE");
      },
      { essential: true },
    );
    credentials.forget();
    slowing.clearAccount(root);
  }

  recoveredAt(): number | null {
    const select = "SELECT recovered_at AS at FROM security_machine WHERE id = 1";
    return this.#parts.storage.read.get<{ at: number | null }>(select)?.at ?? null;
  }

  async acknowledge(): Promise<void> {
    const clear = "UPDATE security_machine SET recovered_at = NULL WHERE id = 1";
    await this.#parts.storage.write((tx) => tx.run(clear), { essential: true });
  }
}
