/**
 * What a kernel that is being killed has promised: for every name the value it acknowledged last,
 * and the one that was under way when it died. After a restart a name holds one of the two, exactly.
 */

/** The value of a name that is not there. */
export const absent = "absent";

interface Entry {
  acknowledged: string;
  /** What was sent and not answered; null when nothing was. */
  pending: string | null;
}

export class Ledger {
  readonly #entries = new Map<string, Entry>();
  /** Changes that were acknowledged. */
  acknowledgements = 0;

  /** The value a name holds, or null when it holds none. */
  acknowledged(name: string): string | null {
    const value = this.#entries.get(name)?.acknowledged ?? absent;
    return value === absent ? null : value;
  }

  /** Notes that a change is sent; one name has one writer, so it is the only one under way. */
  sent(name: string, value: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) this.#entries.set(name, { acknowledged: absent, pending: value });
    else entry.pending = value;
  }

  /** Notes that the change under way was answered. */
  answered(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.pending === null) throw new Error(`"${name}" was not sent`);
    entry.acknowledged = entry.pending;
    entry.pending = null;
    this.acknowledgements++;
  }

  /** Compares with what is there now; what is found is the truth from here on. */
  reconcile(actual: ReadonlyMap<string, string>): string[] {
    const lost: string[] = [];
    for (const [name, entry] of this.#entries) {
      const found = actual.get(name) ?? absent;
      if (found !== entry.acknowledged && found !== entry.pending) {
        const wanted = entry.acknowledged.slice(0, 80);
        lost.push(`${name}: holds ${found.slice(0, 80)}, acknowledged ${wanted}`);
      }
      entry.acknowledged = found;
      entry.pending = null;
    }
    for (const name of actual.keys()) {
      if (!this.#entries.has(name)) lost.push(`${name}: nobody wrote it`);
    }
    return lost;
  }
}

/** Chances that are the same for the same seed (mulberry32). */
export function chances(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
