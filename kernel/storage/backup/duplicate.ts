/**
 * A copy of an app's volume as it is at one moment, beside it, for a release that is to be tried on
 * it: made by the process of `child.ts`, while the app goes on. Copies are in `run/trial`, emptied
 * at boot.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { refusalIn } from "../../enclosed.ts";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { CopyJob } from "./child.ts";

export interface VolumeCopy {
  /** Holds `app.db`, and its log; nothing when the app has no volume. */
  readonly dir: string;
  drop(): void;
}

export interface DuplicateParts {
  readonly machine: Machine;
  readonly dataDir: string;
  /** The command line of this very program, without its words. */
  readonly program: readonly string[];
}

/** Copies the volume in this directory. ENOSPC, EBUSY (its app locks it), EBADMSG, EIO. */
export type Duplicate = (volumeDir: string) => Promise<VolumeCopy>;

/** For one data directory. */
export function createDuplicate({ machine, dataDir, program }: DuplicateParts): Duplicate {
  const trials = join(dataDir, "run", "trial");
  rmSync(trials, { recursive: true, force: true });
  return async (volumeDir) => {
    const dir = join(trials, machine.id("try"));
    const drop = () => rmSync(dir, { recursive: true, force: true });
    mkdirSync(trials, { recursive: true, mode: 0o700 });
    // As a volume's own: the app, which has a user id of its own, has to get at its files.
    mkdirSync(dir, { mode: 0o711 });
    const job: CopyJob = { from: volumeDir, to: dir };
    const child = Bun.spawn([...program, "storage-child"], {
      stdin: new Blob([JSON.stringify(job)]),
      stdout: "ignore",
      stderr: "pipe",
      env: {},
      cwd: "/",
    });
    const said = await child.stderr.text();
    if ((await child.exited) === 0) return { dir, drop };
    drop();
    throw refusalIn(said) ?? new SysError("EIO", "cannot copy the volume: its process failed");
  };
}
