/**
 * The guard of volumes' directories: SQLite's page limit holds for an app that keeps to it; one
 * that lifts it in its own connection, or fills the directory with other files, is stopped.
 *
 * Rules: only apps that run are looked at; nothing is opened, only counted (blocks, so that holes
 * cost nothing), and never more files than a directory may have; who closes a directory to the
 * count is stopped as well, and keeps nobody else from being looked at; a stop is logged with its
 * reason and lasts until the owner starts the app again.
 */
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import type { App } from "../../app/mod.ts";
import type { Storage } from "../../storage/mod.ts";
import type { VolumeLimits } from "./limits.ts";

export interface GuardOptions {
  readonly storage: Pick<Storage, "volumeDir" | "volumeBytesMax" | "logs">;
  readonly limits: VolumeLimits;
  /** The apps that have a process now. */
  readonly running: () => readonly App[];
  readonly stop: (app: App, reason: string) => Promise<unknown>;
}

/** What a directory holds, counted until it is too much. */
interface Usage {
  readonly bytes: number;
  readonly files: number;
  /** The errno that a directory in it answered, which only its app can have brought about. */
  readonly closed: string | null;
}

const closing: ReadonlySet<string> = new Set(["EACCES", "ENAMETOOLONG"]);

/** Looks at every running app once; answers the names of those that were stopped. */
export async function guard({ storage, limits, running, stop }: GuardOptions): Promise<string[]> {
  const { guardFilesMax, guardSlackBytes } = limits;
  // The file, and a log of one transaction that wrote every page of it.
  const bytesMax = 2 * storage.volumeBytesMax + guardSlackBytes;
  const stopped: string[] = [];
  for (const app of running()) {
    const { bytes, files, closed } = await usageOf(storage.volumeDir(app.id), guardFilesMax);
    if (bytes <= bytesMax && files <= guardFilesMax && closed === null) continue;
    const counted = files > guardFilesMax ? `over ${guardFilesMax} files` : `${bytes} bytes`;
    const found = closed === null ? counted : `a directory that cannot be read (${closed})`;
    const most = `${bytesMax} bytes and ${guardFilesMax} files are the limit`;
    const reason = `stopped: its volume has ${found}; ${most}`;
    const line = { app: app.name, appId: app.id, releaseId: app.releaseId } as const;
    storage.logs.append({ ...line, level: "error", text: `[kernel] ${reason}` });
    await stop(app, reason);
    stopped.push(app.name);
  }
  return stopped;
}

async function usageOf(top: string, filesMax: number): Promise<Usage> {
  let [bytes, files] = [0, 0];
  let closed: string | null = null;
  const left = [top];
  for (let dir = left.pop(); dir !== undefined; dir = left.pop()) {
    try {
      for await (const entry of await opendir(dir)) {
        if (++files > filesMax) return { bytes, files, closed };
        const path = join(dir, entry.name);
        if (entry.isDirectory()) left.push(path);
        // Files come and go while they are counted.
        const found = await lstat(path).catch(() => null);
        bytes += (found?.blocks ?? 0) * 512;
      }
    } catch (error) {
      // So do directories.
      const code = String((error as { code?: unknown }).code);
      if (closing.has(code)) closed = code;
    }
  }
  return { bytes, files, closed };
}
