/**
 * Whether a system on trial is as good as the one before: what was well must be well again. Pure.
 */
import type { Look } from "./attempt.ts";

const list = (names: readonly string[]): string =>
  names.length === 1 ? `"${names[0]}"` : names.map((name) => `"${name}"`).join(", ");

/** What is worse than before, each in words that go on after "it was given up because"; empty: nothing. */
export function worse(before: Look, now: Look): string[] {
  const lost = (key: "apps" | "network") => before[key].filter((name) => !now[key].includes(name));
  const problems: string[] = [
    ...now.database
      .filter((problem) => !before.database.includes(problem))
      .map((problem) => `the database is not well: ${problem}`),
  ];
  const apps = lost("apps");
  if (apps.length > 0)
    problems.push(`${list(apps)} answered before and ${apps.length === 1 ? "does" : "do"} not now`);
  const network = lost("network");
  if (network.length > 0)
    problems.push(`the network is not as before: no ${network.join(", no ")}`);
  const units = now.failedUnits.filter((unit) => !before.failedUnits.includes(unit));
  if (units.length > 0) problems.push(`${list(units)} failed to start`);
  return problems;
}

/** Where a trial stands. */
export interface GateState {
  /** When everything began to be well, on the monotonic clock, ms; null: it is not. */
  readonly wellSinceMs: number | null;
  readonly problems: readonly string[];
}

export const gateBegun: GateState = { wellSinceMs: null, problems: ["nothing was looked at"] };

export type Verdict = "wait" | "commit" | "give up";

/** A look at the machine is taken into account. Pure. */
export function gateStep(
  state: GateState,
  look: { readonly atMs: number; readonly problems: readonly string[] },
  bounds: { readonly untilMs: number; readonly steadyMs: number },
): { readonly state: GateState; readonly verdict: Verdict } {
  const { atMs, problems } = look;
  if (problems.length > 0) {
    const verdict = atMs >= bounds.untilMs ? "give up" : "wait";
    return { state: { wellSinceMs: null, problems }, verdict };
  }
  const wellSinceMs = state.wellSinceMs ?? atMs;
  const verdict = atMs - wellSinceMs >= bounds.steadyMs ? "commit" : "wait";
  return { state: { wellSinceMs, problems: [] }, verdict };
}
