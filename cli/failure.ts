/**
 * How an error is told and which exit code it has: `fazt: CODE: message` and a hint on standard
 * error, or one JSON document with `--json`. The exit code is the errno's; 2 for a mistake in what
 * was typed.
 */
import { type ErrorBody, errnos, SysError } from "../kernel/errno.ts";
import { Refusal } from "./client.ts";
import { visible } from "./render.ts";
import { ClosedPipe, type Terminal } from "./terminal.ts";
import { UsageError } from "./usage.ts";

/** The exit code of a usage error (contract). */
const usageExit = 2;
/** What a shell gives a command that SIGINT ended. */
const interruptedExit = 130;

function bodyOf(error: unknown): ErrorBody {
  if (error instanceof Refusal) return error.toBody(error.call);
  if (error instanceof SysError) return error.toBody(null);
  const message = error instanceof Error ? error.message : String(error);
  return { code: "EIO", message: `internal error: ${message}`, hint: null, call: null };
}

/** The exit code of an error. */
function exitOf(error: unknown): number {
  if (error instanceof ClosedPipe) return 0;
  if (error instanceof UsageError) return usageExit;
  return error instanceof SysError ? errnos[error.code].exit : 1;
}

/** Tells the error and answers its exit code. */
export function failed(terminal: Terminal, error: unknown, json: boolean): number {
  if (error instanceof ClosedPipe) return exitOf(error);
  const body = bodyOf(error);
  if (body.code === "ECANCELED" && !(error instanceof Refusal)) {
    terminal.complain("\n");
    return interruptedExit;
  }
  if (json) {
    terminal.complain(`${JSON.stringify({ error: body })}\n`);
  } else {
    const hint = body.hint === null ? "" : `hint: ${visible(body.hint)}\n`;
    terminal.complain(`fazt: ${body.code}: ${visible(body.message)}\n${hint}`);
  }
  return exitOf(error);
}
