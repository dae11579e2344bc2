/**
 * cli: the `fazt` command, a client of the call table over the control socket or HTTP.
 *
 * Its commands, flags, help, manual and completion are made from `kernel/syscall/table.json`; of
 * the kernel's code it holds the errnos, the place of the data and types, so that it starts at
 * once. Read run.ts for how one command line is carried out.
 */
import type { Brought } from "./context.ts";
import { runOn } from "./run.ts";
import { realTerminal } from "./terminal.ts";

/** Runs the command; `locals` are the commands that init brings. Answers the exit code. */
export async function runCli(argv: readonly string[], locals: Brought): Promise<number> {
  return await runOn(realTerminal(), argv, locals);
}
