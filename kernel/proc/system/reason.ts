/**
 * Why the machine is back on the system it had, in one sentence for its owner, from how far the
 * other one came and what it left behind. Pure.
 */
import type { Attempt } from "./attempt.ts";

/** What a start that failed left behind. */
export interface Remains {
  /** Starts of it that came as far as the journal on the data partition. */
  readonly journaled: number;
  /** The end of the last one's journal. */
  readonly lastLines: readonly string[];
  /** What the kernel of the machine kept of a panic (pstore), or null. */
  readonly panic: string | null;
}

const noRemains: Remains = { journaled: 0, lastLines: [], panic: null };

const times = (n: number): string => (n === 1 ? "once" : n === 2 ? "twice" : `${n} times`);

/** What a phase of the new system is called in a sentence. */
const reached: Readonly<Record<string, string>> = {
  kernel: "fazt began to start",
  storage: "its database was open",
  security: "its keys were open",
  fs: "its files were there",
  apps: "its apps were known",
  proc: "its processes were ready",
  net: "its network was up",
  console: "fazt was up",
  gate: "fazt was up and being compared with before",
};

function howFar({ crumbs }: Attempt, { journaled }: Remains): string {
  const begun = crumbs.findLastIndex(({ phase }) => phase === "kernel");
  const last = crumbs.slice(Math.max(begun, 0)).findLast(({ phase }) => phase in reached);
  if (last !== undefined) {
    return `it stopped or hung after ${reached[last.phase]}`;
  }
  return journaled > 0
    ? "its kernel and systemd started, fazt did not"
    : "its kernel, its initrd or its root does not start";
}

/** The sentence for a system that did not come back to say itself why. */
export function whyReverted(
  attempt: Attempt,
  starts: number,
  remains: Remains = noRemains,
): string {
  const { version, from } = attempt;
  const back = `so ${from} runs again`;
  if (starts === 0) {
    return `${version} was never started: the boot loader did not try it, because it cannot write or another entry of its menu was chosen, ${back}`;
  }
  const panic = remains.panic === null ? "" : ` (${remains.panic})`;
  return `${version} was started ${times(starts)} and was never found well: ${howFar(attempt, remains)}${panic}, ${back}`;
}

/** The sentence for a system that was compared and found worse. */
export function whyGivenUp({ version, from }: Attempt, problems: readonly string[]): string {
  return `${version} started, but ${problems.join("; and ")}, so ${from} runs again`;
}

/** The sentence for a system whose kernel could not boot its targets. */
export function whyTrouble({ version, from }: Attempt, target: string, message: string): string {
  return `${version} started, but fazt could not reach "${target}": ${message}, so ${from} runs again`;
}

/** The sentence for an attempt that ended before anything was armed. */
export function whyFailed({ version, phase }: Attempt): string {
  return `${version} was not installed: the machine or fazt ended during "${phase}", before anything had changed`;
}

/** The line of a panic in what pstore kept of it, or null. */
export function panicLine(text: string): string | null {
  const line = text.split("\n").find((one) => /Kernel panic|BUG:|Oops:/.test(one));
  return (
    line
      ?.replace(/^<\d+>/, "")
      .replace(/^\[\s*[\d.]+\]\s*/, "")
      .trim() ?? null
  );
}
