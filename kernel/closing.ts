/**
 * Ending in order and in bounded time: phases one after the other, each with a name and the longest
 * it may take.
 *
 * Rules: every phase is begun, whatever became of those before it (a database is closed though an
 * app did not end); a phase that is late or fails is left behind and named at the end; somebody who
 * looks meanwhile is told what is waited for.
 */
import { SysError } from "./errno.ts";
import type { Machine } from "./machine.ts";

/** One step of an ending. */
export interface Phase {
  /** What is waited for, in words. */
  readonly name: string;
  /** Milliseconds after which it is left behind. */
  readonly mostMs: number;
  run(): unknown;
  /** What of it is left now, when that can be told: names, such as those of apps. */
  left?(): readonly string[];
}

/** An ending that can be looked at. */
export interface Closing {
  /** Rejects with ETIMEDOUT or EIO, naming every phase that was late or failed. Idempotent. */
  close(): Promise<void>;
  /** What is being waited for, in words; null before it begins and when it is over. */
  waitsFor(): string | null;
}

/** The most names that are told of one phase. */
const namesMax = 5;

/** Makes an ending of these phases. */
export function createClosing(machine: Machine, phases: readonly Phase[]): Closing {
  let under: Phase | null = null;
  let whole: Promise<void> | null = null;
  const run = async (): Promise<void> => {
    const late: string[] = [];
    const failed: { readonly name: string; readonly error: unknown }[] = [];
    for (const phase of phases) {
      under = phase;
      try {
        if (!(await inTime(machine, phase))) late.push(said(phase));
      } catch (error) {
        failed.push({ name: phase.name, error });
      }
    }
    under = null;
    const [first, ...more] = failed;
    // What failed alone tells that best itself.
    if (first !== undefined && more.length === 0 && late.length === 0) throw first.error;
    const told = [
      ...(late.length === 0 ? [] : [`gave up waiting for ${late.join("; ")}`]),
      ...failed.map(({ name, error }) => `${name} failed: ${textOf(error)}`),
    ];
    if (told.length === 0) return;
    const code = first === undefined ? "ETIMEDOUT" : "EIO";
    throw new SysError(code, `cannot stop in order: ${told.join("; ")}`, {
      hint: "nothing that was acknowledged is lost; what did not end is killed",
      ...(first !== undefined && { cause: first.error }),
    });
  };
  return {
    close: () => {
      whole ??= run();
      return whole;
    },
    waitsFor: () => (under === null ? null : said(under)),
  };
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The words for what a phase waits for. */
function said({ name, left }: Phase): string {
  const names = left?.() ?? [];
  if (names.length === 0) return name;
  const more = names.length > namesMax ? ` and ${names.length - namesMax} more` : "";
  return `${name}: ${names.slice(0, namesMax).join(", ")}${more}`;
}

/** Whether it was over in time. What it says after that is of no concern any more. */
export async function inTime(
  machine: Machine,
  { mostMs, run }: Pick<Phase, "mostMs" | "run">,
): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = machine.after(mostMs, () => late.resolve(false));
  // One that fails at once has set a timer too.
  const done = (async () => {
    await run();
    return true;
  })();
  try {
    return await Promise.race([done, late.promise]);
  } finally {
    timer.cancel();
    // Late and failed: it has been told as late.
    done.catch(() => undefined);
  }
}
