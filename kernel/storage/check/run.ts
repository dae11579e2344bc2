/**
 * The kernel's side of a check: starts the process and takes its finding. Whoever asks while one is
 * under way gets the finding of that one. Where this program cannot be started again (a storage
 * alone, in tests) the check happens here.
 */
import { SysError } from "../../errno.ts";
import type { Reader } from "../storage.ts";
import type { CheckJob } from "./child.ts";
import { type Examined, examine, type Look } from "./look.ts";

export interface CheckParts {
  readonly database: string;
  readonly read: Reader;
  /** The command line of this very program, without its words. */
  readonly program: readonly string[];
}

export interface Checks {
  /** EIO when its process fails. */
  run(looks: readonly Look[]): Promise<Examined>;
  /** Ends the one under way. */
  stop(): void;
}

/** Checks of one database. */
export function createChecks({ database, read, program }: CheckParts): Checks {
  let child: Bun.Subprocess<Blob, "pipe", "pipe"> | null = null;
  let under: Promise<Examined> | null = null;

  const apart = async (looks: readonly Look[]): Promise<Examined> => {
    const job: CheckJob = { database, looks };
    child = Bun.spawn([...program, "check-child"], {
      stdin: new Blob([JSON.stringify(job)]),
      stdout: "pipe",
      stderr: "pipe",
      env: {},
      cwd: "/",
    });
    const [text, errors, code] = await Promise.all([
      child.stdout.text(),
      child.stderr.text(),
      child.exited,
    ]);
    if (code === 0) return JSON.parse(text) as Examined;
    throw new SysError("EIO", `cannot check: its process ended early (${code})`, { cause: errors });
  };
  return {
    run(looks) {
      if (program.length === 0) return Promise.resolve(examine(read, looks));
      under ??= apart(looks).finally(() => {
        under = null;
        child = null;
      });
      return under;
    },
    stop: () => child?.kill("SIGKILL"),
  };
}
