/**
 * The end of a running system as a person sees it: in order, in bounded time, with a line every few
 * seconds that says what is waited for. What has not ended by then is left as a power cut would
 * leave it, which costs nothing that was acknowledged.
 */
import { SysError } from "../kernel/errno.ts";
import type { Running } from "./start.ts";

/** Milliseconds that stopping takes at most (contract); systemd's own limit is behind it. */
export const stopMsMax = 90_000;

/** How often what is being waited for is said, milliseconds. */
const sayEveryMs = 5_000;

/** Milliseconds a process may take to end by itself once its work is over. */
const leaveMsMax = 3_000;

/** What is being waited for while the system stops; null: nothing any more. */
export function waitingLine(waitsFor: string | null, forMs: number): string | null {
  if (waitsFor === null) return null;
  const left = Math.max(0, Math.ceil((stopMsMax - forMs) / 1000));
  return `[ stop ] waiting for ${waitsFor}; at most ${left} s more`;
}

/** Ends a running system; answers whether it ended in order, and says why when it did not. */
export async function stopInTime(
  running: Pick<Running, "stop" | "waitsFor">,
  say: (line: string) => void,
): Promise<boolean> {
  const startedMs = performance.now();
  const told = setInterval(() => {
    const line = waitingLine(running.waitsFor(), performance.now() - startedMs);
    if (line !== null) say(line);
  }, sayEveryMs);
  const late = Promise.withResolvers<unknown>();
  const timer = setTimeout(() => late.resolve(running.waitsFor() ?? "nothing"), stopMsMax);
  const stopped = running.stop().then(
    () => null,
    (error: unknown) => error,
  );
  const problem = await Promise.race([stopped, late.promise]);
  clearInterval(told);
  clearTimeout(timer);
  if (problem !== null) say(`[failed] ${reasonOf(problem)}`);
  return problem === null;
}

function reasonOf(problem: unknown): string {
  if (problem instanceof SysError) return problem.message;
  if (typeof problem === "string") return `cannot stop in order: gave up waiting for ${problem}`;
  return `cannot stop in order: ${problem instanceof Error ? problem.message : String(problem)}`;
}

/** The exit code, for a process that must not outlive it, whatever still keeps it alive. */
export function leave(code: number): number {
  setTimeout(() => process.exit(code), leaveMsMax).unref();
  return code;
}
