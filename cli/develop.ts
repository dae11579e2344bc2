/**
 * `fazt app dev`: the app of a folder runs as it is written. Deployed at once, deployed again
 * whenever a file of the folder has changed, its log shown all the while. A release that does not
 * come up is told, and the one before serves on.
 *
 * The folder is looked at several times a second: that sees every editor's way of saving, on every
 * file system. What the app's own build writes is no change.
 */
import { statSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "./client.ts";
import { type DeployResult, deploy, type Progress } from "./deploy/deploy.ts";
import { ignoreRules } from "./deploy/ignore.ts";
import { walkApp } from "./deploy/tree.ts";

/** Between two looks at the folder, milliseconds. */
const lookMs = 250;

export interface Work {
  readonly dir: string;
  readonly name: string | undefined;
  readonly client: Client;
  readonly signal: AbortSignal;
  /** What comes of each deploy; the command goes on. */
  deployed(result: DeployResult): Promise<void>;
  refused(error: unknown): void;
  progress(progress: Progress): void;
  /** A line of the app's log. */
  logged(line: unknown): Promise<void>;
}

/** What the folder holds: path, size and time of every file that could matter, as one text. */
function pictureOf(dir: string): string {
  try {
    const lines = walkApp(dir, [""], ignoreRules("")).map(({ path, source, sizeBytes }) => {
      return `${path}\0${sizeBytes}\0${statSync(source).mtimeMs}`;
    });
    return lines.join("\n");
  } catch (error) {
    // A file that has just gone, or a folder that cannot be deployed, as the deploy will say.
    return String(error);
  }
}

/** Deploys once; answers what the folder held when it was read. */
async function deployOnce(work: Work): Promise<{ seen: string; result: DeployResult | null }> {
  const { dir, name, client, signal } = work;
  const calls = {
    call: (call: string, input: unknown) => client.json(call, input, { signal }),
    upload: (call: string, input: unknown, body: ReadableStream<Uint8Array>) =>
      client.json(call, input, { signal, body }),
  };
  let seen: string | null = null;
  try {
    const result = await deploy(calls, { dir, name, build: true }, (progress) => {
      // The build is over, and nothing has been read yet: a change from here on is seen.
      if (progress.step === "bundle" || progress.step === "read") seen ??= pictureOf(dir);
      work.progress(progress);
    });
    await work.deployed(result);
    return { seen: seen ?? pictureOf(dir), result };
  } catch (error) {
    signal.throwIfAborted();
    work.refused(error);
    return { seen: seen ?? pictureOf(dir), result: null };
  }
}

/** Shows the log from the first deploy on. Rejects when the kernel has gone. */
async function follow(work: Work, { app, ms }: DeployResult): Promise<never> {
  const { client, signal, logged } = work;
  const since = `${Math.ceil(ms / 1000)}s`;
  const lines = client.lines("proc.logs", { app, follow: true, since }, { signal });
  for await (const line of lines) await logged(line);
  throw new Error("the log has ended");
}

/** Goes on until the signal, or until the kernel is gone. */
export async function develop(work: Work): Promise<never> {
  let log: Promise<never> | null = null;
  for (;;) {
    const { seen, result } = await deployOnce(work);
    if (result !== null) log ??= follow(work, result);
    while (pictureOf(work.dir) === seen) {
      const look = pause(lookMs, undefined, { signal: work.signal });
      await (log === null ? look : Promise.race([look, log]));
    }
  }
}
