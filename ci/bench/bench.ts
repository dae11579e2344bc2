/**
 * What every measurement stands on: the executable, a directory on the checkout's disk, and rounds
 * that take turns.
 */
import { linkSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "../with.mjs";

export interface Bench extends Disposable {
  /** The executable, kept apart from a build that may happen meanwhile. */
  readonly fazt: string;
  /** A new empty directory; everything is removed at the end. */
  directory(name: string): string;
  /** Tells what is going on. */
  say(text: string): void;
}

/** A bench for one run. */
export function createBench(executable: string): Bench {
  mkdirSync(`${root}dist`, { recursive: true });
  // Not the system's temporary directory, which may be memory: writes should reach a disk.
  const base = mkdtempSync(`${root}dist/bench-`);
  const fazt = join(base, "fazt");
  linkSync(executable, fazt);
  return {
    fazt,
    directory: (name) => mkdtempSync(join(base, `${name}-`)),
    say: (text) => process.stderr.write(`${text}\n`),
    [Symbol.dispose]: () => rmSync(base, { recursive: true, force: true }),
  };
}

/** Samples by side, one a round. */
export type Samples<S extends string> = Readonly<Record<S, number[]>>;

/**
 * Measures each side once a round, in an order that turns round with every round, after one round
 * that does not count.
 */
export async function takeTurns<S extends string>(
  rounds: number,
  sides: Readonly<Record<S, () => Promise<number>>>,
): Promise<Samples<S>> {
  const names = Object.keys(sides) as S[];
  const samples = Object.fromEntries(names.map((name) => [name, []])) as unknown as Samples<S>;
  for (let round = -1; round < rounds; round++) {
    const order = round % 2 === 0 ? names : names.toReversed();
    for (const name of order) {
      const sample = await sides[name]();
      if (round >= 0) samples[name].push(sample);
    }
  }
  return samples;
}

/** Several samples of one thing, one after another. */
export async function repeat(
  rounds: number,
  measure: (round: number) => Promise<number>,
): Promise<number[]> {
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) samples.push(await measure(round));
  return samples;
}
