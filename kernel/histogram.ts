/**
 * Durations counted in buckets: cheap to note, enough for quantiles and for OpenMetrics.
 */

/** Upper bounds of the buckets, seconds; beyond the last is one more. */
export const boundsS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

const boundsMs = boundsS.map((bound) => bound * 1000);

export interface Distribution {
  /** Durations at most as long as each bound, and last all: cumulative. */
  readonly counts: readonly number[];
  readonly sumS: number;
}

export class Histogram {
  readonly #buckets = new Float64Array(boundsMs.length + 1);
  #sumMs = 0;

  /** Notes one duration, milliseconds. */
  note(durationMs: number): void {
    let at = 0;
    while (at < boundsMs.length && durationMs > (boundsMs[at] as number)) at++;
    this.#buckets[at] = (this.#buckets[at] as number) + 1;
    this.#sumMs += durationMs;
  }

  distribution(): Distribution {
    let count = 0;
    const counts = Array.from(this.#buckets, (bucket) => (count += bucket));
    return { counts, sumS: this.#sumMs / 1000 };
  }
}

/**
 * The duration that this share of those between two looks was not longer than, milliseconds, as
 * fine as the buckets are; null when there were none.
 */
export function quantileMs(
  share: number,
  now: Distribution,
  before: Distribution | null = null,
): number | null {
  const counts = now.counts.map((count, at) => count - (before?.counts[at] ?? 0));
  const all = counts.at(-1) ?? 0;
  if (all === 0) return null;
  const at = counts.findIndex((count) => count >= share * all);
  return boundsMs[at] ?? (boundsMs.at(-1) as number);
}
