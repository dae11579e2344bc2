/**
 * Turns at the kernel's one thread for bodies that pass through it: while others are served too,
 * all bodies together get `turnBytes` each `turnMs`, process by process in turn; nobody's small
 * request waits for long behind somebody's large reply. Who is alone passes at full speed.
 *
 *     const turns = new Turns(machine);
 *     turns.asked(process, nowMs);               // a request for it has come
 *     turns.take(process, bytes, () => grant()); // it may send on: now, or when it is its turn
 */
import type { Machine } from "../machine.ts";
import { othersMs, turnBytes, turnMs } from "./limits.ts";

/** Somebody whose bodies pass, or whom the kernel answers itself; compared by identity alone. */
type Owner = object;

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

export class Turns {
  readonly #machine: Pick<Machine, "monotonicMs" | "after">;
  /** Who waits, in the order of their turns; each has something to do. */
  readonly #queues = new Map<Owner, Waiting[]>();
  #left = turnBytes;
  /** Whether a turn is under way: it ends by a timer. */
  #counting = false;
  #last: Owner | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;
  /** When somebody else than `#last` was asked. */
  #otherMs = Number.NEGATIVE_INFINITY;

  constructor(machine: Pick<Machine, "monotonicMs" | "after">) {
    this.#machine = machine;
  }

  /** A request for this one has come. */
  asked(owner: Owner, nowMs: number): void {
    if (owner !== this.#last) {
      this.#otherMs = this.#lastMs;
      this.#last = owner;
    }
    this.#lastMs = nowMs;
  }

  /** Has so many bytes pass: at once, or when others have had their turn. */
  take(owner: Owner, bytes: number, go: () => void): void {
    const queue = this.#queues.get(owner);
    if (!this.#contended(owner)) go();
    else if (queue !== undefined) queue.push({ bytes, go });
    else if (this.#left > 0) this.#pass({ bytes, go });
    else this.#queues.set(owner, [{ bytes, go }]);
  }

  /** Whether anybody else is served at the moment. */
  #contended(owner: Owner): boolean {
    const atMs = owner === this.#last ? this.#otherMs : this.#lastMs;
    return this.#machine.monotonicMs() - atMs < othersMs;
  }

  #pass({ bytes, go }: Waiting): void {
    this.#left -= bytes;
    if (!this.#counting) {
      this.#counting = true;
      this.#machine.after(turnMs, () => this.#next());
    }
    go();
  }

  /** The next turn: one piece of each who waits, around and around, as long as there is room. */
  #next(): void {
    this.#counting = false;
    // What the last one was over is not counted against this turn: each takes at least one piece.
    this.#left = turnBytes;
    for (const [owner, queue] of this.#queues) {
      if (this.#left <= 0) return;
      this.#queues.delete(owner);
      const first = queue.shift();
      if (queue.length > 0) this.#queues.set(owner, queue);
      if (first !== undefined) this.#pass(first);
    }
  }
}
