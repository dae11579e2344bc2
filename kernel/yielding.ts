/**
 * How a process of the kernel's that works beside it (a backup, a check, a stranger's file) lets
 * those who are served go first.
 *
 * Rules: niceness only rises: a process that the sandbox started with less weight has no right to
 * raise its own again (setpriority(2), EACCES).
 */
import { getPriority, setPriority } from "node:os";

/** Niceness of work that nobody waits for at a page (0 is a request's, 19 the least weight). */
const besideNiceness = 10;

/** Gives this process no more weight than work beside the kernel has. */
export function yieldToServed(): void {
  if (getPriority() < besideNiceness) setPriority(besideNiceness);
}
