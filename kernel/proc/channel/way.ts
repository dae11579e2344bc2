/**
 * The program and the operating system as one thing that is upgraded: which of them a release goes
 * to, what was changed last, and what became of every try, in one list and one sentence each. Pure.
 */
import type { Attempt as SystemAttempt } from "../system/mod.ts";
import type { Manifest, slots } from "../upgrade/mod.ts";

/** What can be upgraded. */
export type Part = "program" | "system";

/** One try, of either. */
export interface Tried extends Omit<slots.Attempt, "phase" | "phases"> {
  readonly part: Part;
  readonly phase: string;
  readonly phases: readonly { readonly phase: string; readonly at: number }[];
}

/** Where a release goes: one with a root goes to the system, where that is ours. */
export function partOf({ artifacts }: Manifest, ownsSystem: boolean): Part {
  return ownsSystem && artifacts.some(({ kind }) => kind === "root") ? "system" : "program";
}

const ofProgram = (attempt: slots.Attempt): Tried => ({ ...attempt, part: "program" });

/** What the system's attempt is called among those of the program. */
function ofSystem(attempt: SystemAttempt): Tried {
  const { id, kind, from, version, startedAt, endedAt, outcome, phase, reason } = attempt;
  return {
    ...{ id, from, endedAt, phase, reason },
    part: "system",
    kind: kind === "rollback" ? "rollback" : "os",
    to: version,
    at: startedAt,
    outcome: outcome ?? "under way",
    phases: attempt.crumbs,
    lastLines: attempt.lastLines,
  };
}

/** Everything that was tried, the newest first. `system` is in order of time. */
export function allTried(
  program: readonly slots.Attempt[],
  system: readonly SystemAttempt[],
): Tried[] {
  const all = [...program.map(ofProgram), ...system.map(ofSystem).toReversed()];
  return all.sort((a, b) => b.at - a.at);
}

/** Which of the two changed last; null: neither ever did. */
export function changedLast(tried: readonly Tried[]): Part | null {
  const ended = (one: Tried) => one.endedAt ?? 0;
  const kept = tried.filter(({ outcome }) => outcome === "committed");
  return kept.sort((a, b) => ended(b) - ended(a))[0]?.part ?? null;
}

/** What became of an attempt, for people. */
export function sentenceOf(attempt: Tried): string {
  const { part, kind, from, to, outcome, phase, reason } = attempt;
  const of = part === "system" ? " of the system" : "";
  const what =
    kind === "rollback" ? `Going back from ${from} to ${to}${of}` : `The upgrade${of} to ${to}`;
  if (outcome === "under way") return `${what} is under way: ${phase}.`;
  if (outcome === "committed") return `${what} is done.`;
  // The system's reasons are whole sentences: they are also told where nothing else is.
  if (part === "system" && reason?.startsWith(to)) return `${reason}.`;
  const why = reason === null ? "" : `: ${reason}`;
  if (outcome === "reverted") return `${what} was taken back${why}; ${from} runs again.`;
  return `${what} did not happen${why}; ${from} runs.`;
}
