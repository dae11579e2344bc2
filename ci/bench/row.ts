/**
 * One figure: what was measured, what it should be, and what came of it. Pure.
 *
 * A comparison is made of pairs measured next to each other in time on one machine; its ratio is
 * the median over the rounds of ours divided by theirs, so that what slows the whole machine for a
 * while slows both.
 */

/** What a figure should be, or null for one that is only told. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number } | null;

/** A row of `dist/bench.json`. `min` and `max` are of the ratio where there is one. */
export interface Row {
  readonly id: string;
  readonly what: string;
  /** The goal in words. */
  readonly target: string;
  readonly unit: string;
  readonly value: number;
  readonly ratio?: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
  /** Null: there is no goal. */
  readonly met: boolean | null;
}

interface Named {
  readonly id: string;
  readonly what: string;
  readonly unit: string;
  readonly goal: Goal;
}

/** The value below which this share of the samples lies (nearest rank). */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.max(0, Math.ceil(sorted.length * share) - 1);
  return sorted[rank] ?? Number.NaN;
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

function meets(goal: Goal, figure: number): boolean | null {
  if (goal === null) return null;
  return "atLeast" in goal ? figure >= goal.atLeast : figure <= goal.atMost;
}

function words(goal: Goal, unit: string): string {
  if (goal === null) return "-";
  return "atLeast" in goal ? `>= ${goal.atLeast}${unit}` : `<= ${goal.atMost}${unit}`;
}

/** Ours against another's, round by round. */
export function ratioRow(
  { id, what, unit, goal }: Named,
  ours: readonly number[],
  theirs: { readonly name: string; readonly samples: readonly number[] },
): Row {
  const ratios = ours.map((figure, i) => figure / (theirs.samples[i] ?? Number.NaN));
  const ratio = median(ratios);
  return {
    id,
    what,
    target: words(goal, `x ${theirs.name}`),
    unit,
    value: median(ours),
    ratio,
    min: Math.min(...ratios),
    max: Math.max(...ratios),
    rounds: ratios.length,
    met: meets(goal, ratio),
  };
}

/** A figure by itself; `of` says which share of the samples is judged, the median by default. */
export function valueRow(
  { id, what, unit, goal }: Named,
  samples: readonly number[],
  share = 0.5,
): Row {
  const value = quantile(samples, share);
  return {
    id,
    what,
    target: words(goal, ` ${unit}`),
    unit,
    value,
    min: Math.min(...samples),
    max: Math.max(...samples),
    rounds: samples.length,
    met: meets(goal, value),
  };
}

const short = (n: number): string =>
  Math.abs(n) >= 100 ? String(Math.round(n)) : String(Number(n.toPrecision(3)));

const verdict = (met: boolean | null): string => (met === null ? "" : met ? "met" : "SHORT");

function cells(row: Row): string[] {
  const { ratio, min, max, unit } = row;
  const figure = `${short(row.value)} ${unit}`;
  const times = ratio === undefined ? "" : `${ratio.toFixed(2)}x`;
  const range = `${short(min)} .. ${short(max)}`;
  return [row.what, row.target, figure, times, range, String(row.rounds), verdict(row.met)];
}

/** The rows for a person. */
export function render(rows: readonly Row[]): string {
  const head = ["what", "target", "measured", "ratio", "min .. max", "rounds", ""];
  const lines = [head, ...rows.map(cells)];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
