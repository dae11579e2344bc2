/**
 * A mistake in what was typed, found before anything was asked of a kernel: told like every other
 * error, but exit code 2 (contract).
 */
import { SysError } from "../kernel/errno.ts";

export class UsageError extends SysError {
  constructor(message: string, hint?: string) {
    super("EINVAL", message, hint === undefined ? {} : { hint });
  }
}
