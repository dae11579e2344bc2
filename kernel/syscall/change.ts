/**
 * Changes by others than apps that are under way, and the freeze that lets none of them begin while
 * another kernel takes over: what it keeps in memory it has read by then.
 *
 * Rules: a freeze is over with `thaw` or with the kernel; who is refused may come again (EAGAIN).
 */
import { SysError } from "../errno.ts";

/** Calls that change something and go on while another kernel takes over: they are rows alone. */
const unfrozen: ReadonlySet<string> = new Set(["security.login", "security.logout"]);

export class Changes {
  readonly #underWay = new Map<symbol, string>();
  /** Who waits for the last of them; null: nothing is frozen. */
  #quiet: PromiseWithResolvers<void> | null = null;

  /** Lets none begin; resolves when those under way are done. */
  freeze(): Promise<void> {
    this.#quiet ??= Promise.withResolvers<void>();
    this.#settle();
    return this.#quiet.promise;
  }

  /** Lets them begin again: nobody takes over. */
  thaw(): void {
    this.#quiet = null;
  }

  /** The calls under way by name, each once. */
  underWay(): string[] {
    return [...new Set(this.#underWay.values())];
  }

  /** Runs a change of this call. EAGAIN while nothing may change. */
  async run<T>(name: string, change: () => Promise<T>): Promise<T> {
    if (this.#quiet !== null && !unfrozen.has(name)) {
      throw new SysError("EAGAIN", "cannot change anything: the system is being upgraded", {
        hint: "try again in a few seconds",
        retryAfterMs: 2_000,
      });
    }
    const turn = Symbol(name);
    this.#underWay.set(turn, name);
    try {
      return await change();
    } finally {
      this.#underWay.delete(turn);
      this.#settle();
    }
  }

  #settle(): void {
    if (this.#underWay.size === 0) this.#quiet?.resolve();
  }
}
