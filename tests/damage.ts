/**
 * Damage to a file, drawn from a seed that is printed: a bit flipped, an end cut off, a piece
 * overwritten. `FAZT_SEED=N` repeats a run.
 */
export interface Damage {
  /** What was done where, to be shown when a test fails. */
  readonly what: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Numbers in [0, 1) from a seed (mulberry32, public domain). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The seed of this run, printed so that it can be repeated. */
export function seedOf(): number {
  const seed = Number(process.env["FAZT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`FAZT_SEED=${seed}`);
  return seed;
}

/**
 * `count` damages of a file: half of them flips; a tenth of all within its first and last 100
 * bytes, where the heads and ends of formats are.
 */
export function* damages(
  whole: Uint8Array<ArrayBuffer>,
  count: number,
  random: () => number,
): Generator<Damage> {
  const position = (): number => {
    const near = Math.floor(random() * Math.min(100, whole.length));
    const where = random();
    if (where < 0.05) return near;
    if (where < 0.1) return whole.length - 1 - near;
    return Math.floor(random() * whole.length);
  };
  for (let n = 0; n < count; n++) {
    const at = position();
    const bytes = whole.slice();
    if (n % 2 === 0) {
      const bit = Math.floor(random() * 8);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      yield { what: `bit ${bit} of byte ${at} of ${whole.length}`, bytes };
    } else if (n % 4 === 1) {
      yield { what: `cut at ${at} of ${whole.length}`, bytes: whole.slice(0, at) };
    } else {
      const end = Math.min(whole.length, at + 1 + Math.floor(random() * 64));
      for (let i = at; i < end; i++) bytes[i] = Math.floor(random() * 256);
      yield { what: `noise from ${at} to ${end} of ${whole.length}`, bytes };
    }
  }
}
