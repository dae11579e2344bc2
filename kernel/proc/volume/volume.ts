/**
 * Makes the volume domain: statements from outside and migrations on apps' SQL volumes, each done
 * by a short-lived process in the sandbox.
 *
 * Rules: at most a few such processes at once; each has a deadline, after which it is killed and
 * SQLite's journal undoes what it had begun; a reply is bounded before it is read.
 */
import type { App, Release } from "../../app/mod.ts";
import { type Errno, SysError } from "../../errno.ts";
import type { Fs } from "../../fs/mod.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import type { VolumeCommand } from "../sandbox/mod.ts";
import { guard } from "./guard.ts";
import { adjustableNames, limits as standardLimits, type VolumeLimits } from "./limits.ts";
import type { Cell, Job, MigrationFile, Outcome, Row } from "./task.ts";

export interface Statement {
  readonly sql: string;
  readonly params: readonly Cell[] | Readonly<Record<string, Cell>>;
  /** Whether it may change data. */
  readonly write: boolean;
}

export interface Volumes {
  /**
   * Runs one statement on an app's volume. EINVAL (SQL, parameters), ENOENT (no volume yet),
   * EROFS (it would write), EFBIG (result over the caps), ETIMEDOUT, EBUSY (the app holds the
   * lock), EDQUOT (volume full), EBADMSG (corrupt), EAGAIN, ECANCELED, EPERM (no sandbox), EIO.
   */
  run(app: App, statement: Statement, signal?: AbortSignal): Promise<Row[]>;
  /**
   * Applies the release's `migrations/*.sql` that the volume has not had: all of them or none, and
   * only after `attempt` has shown that the release starts on a copy of the volume that has them.
   * Answers their names. ENOEXEC naming the file, EBUSY (the app holds the lock), EBADMSG, EAGAIN,
   * EPERM, ENOSPC, EIO, and what `attempt` throws.
   */
  migrate(app: App, release: Release, attempt: Attempt): Promise<readonly string[]>;
  /** Stops apps whose volume's directory has outgrown every bound; done now and then by itself. */
  guard(): Promise<readonly string[]>;
  close(): void;
}

/** Has the release start on the volume in this directory, and ends it; throws why it does not. */
export type Attempt = (volumeDir: string) => Promise<void>;

export interface VolumeOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly fs: Pick<Fs, "manifests" | "blobs">;
  /** How this program is started as a volume's process in the sandbox: argv, and the file there. */
  readonly enclose: (appId: string, copy?: string) => VolumeCommand;
  /** The apps that have a process now. */
  readonly running: () => readonly App[];
  readonly stop: (app: App, reason: string) => Promise<unknown>;
  readonly limits?: Partial<VolumeLimits>;
}

const folder = "migrations/";

export function createVolumes(options: VolumeOptions): Volumes {
  const { machine, fs, storage } = options;
  const limits: VolumeLimits = { ...standardLimits, ...options.limits };
  storage.adjust({ domain: "volume", limits, names: adjustableNames });
  const processes = createProcesses({ ...options, limits });
  const look = () => guard({ ...options, limits });
  // A directory that goes while it is looked at is looked at again.
  const looking = machine.every(limits.guardMs, () => void look().catch(() => []));
  return {
    async run(app, { sql, params, write }, signal) {
      const { rowsMax, replyBytesMax, statementMsMax } = limits;
      const task = { sql, params, write, rowsMax, bytesMax: replyBytesMax } as const;
      const deadline = { timeoutMs: statementMsMax, signal };
      const outcome = await processes.perform(app, { kind: "statement", ...task }, deadline);
      return outcome.kind === "rows" ? outcome.rows : [];
    },
    async migrate(app, release, attempt) {
      const files = await migrationsOf(fs, release, limits);
      if (files.length === 0) return [];
      const apply = (copy?: string) =>
        named(processes, app, {
          task: { kind: "migrate", files, at: machine.now() },
          timeoutMs: limits.migrateMsMax,
          copy,
        });
      // An app that never ran has no world yet that could be left half.
      if (app.releaseId !== null && (await isBehind(processes, app, files))) {
        const copy = await storage.copyVolume(app.id);
        try {
          await apply(copy.dir);
          await attempt(copy.dir);
        } finally {
          copy.drop();
        }
      }
      return await apply();
    },
    guard: look,
    close: () => looking.cancel(),
  };
}

type Processes = ReturnType<typeof createProcesses>;

interface Naming extends Deadline {
  readonly task: Job["task"];
}

/** The names a task on migrations answers. What is the release's own fault is ENOEXEC. */
async function named(processes: Processes, app: App, how: Naming): Promise<readonly string[]> {
  try {
    const outcome = await processes.perform(app, how.task, how);
    return outcome.kind === "applied" ? outcome.names : [];
  } catch (error) {
    throw asUnfit(error);
  }
}

/** Whether the volume lacks any of these; one that is not there lacks all. */
async function isBehind(processes: Processes, app: App, files: readonly MigrationFile[]) {
  const task = { kind: "pending", files } as const;
  try {
    const names = await named(processes, app, { task, timeoutMs: standardLimits.statementMsMax });
    return names.length > 0;
  } catch (error) {
    if (error instanceof SysError && error.code === "ENOENT") return true;
    throw error;
  }
}

/** A release whose own migrations fail cannot run; what others cause stays as it is. */
function asUnfit(error: unknown): unknown {
  const own: readonly Errno[] = ["EINVAL", "EDQUOT", "ETIMEDOUT", "EFBIG"];
  if (!(error instanceof SysError) || !own.includes(error.code)) return error;
  const hint = error.hint ?? "correct the migration and deploy again";
  return new SysError("ENOEXEC", error.message, { hint, cause: error });
}

/** The release's migrations in order. ENOEXEC. */
async function migrationsOf(
  fs: VolumeOptions["fs"],
  release: Release,
  limits: VolumeLimits,
): Promise<MigrationFile[]> {
  const listed = fs.manifests
    .list(release.id, folder)
    .map((file) => ({ ...file, name: file.path.slice(folder.length) }))
    .filter(({ name }) => name.endsWith(".sql") && !name.includes("/"))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const bytes = listed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const large = listed.find(({ sizeBytes }) => sizeBytes > limits.migrationBytesMax);
  if (large !== undefined)
    throw tooLarge(`"${large.name}" is over ${limits.migrationBytesMax} bytes`);
  if (listed.length > limits.migrationsMax) throw tooLarge(`over ${limits.migrationsMax} files`);
  if (bytes > limits.migrationsBytesMax) throw tooLarge(`over ${limits.migrationsBytesMax} bytes`);
  const files: MigrationFile[] = [];
  for (const { name, hash } of listed) {
    files.push({ name, hash, sql: await new Response(fs.blobs.open(hash).stream).text() });
  }
  return files;
}

const tooLarge = (state: string): SysError =>
  new SysError("ENOEXEC", `cannot apply migrations: ${state}`, {
    hint: "load data in the app; migrations are for the schema",
  });

interface Deadline {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** A directory with a copy of the volume, to work on that. */
  readonly copy?: string | undefined;
}

interface ProcessOptions extends VolumeOptions {
  readonly limits: VolumeLimits;
}

function createProcesses({ machine, storage, enclose, limits }: ProcessOptions) {
  let running = 0;

  const perform = async (app: App, task: Job["task"], deadline: Deadline): Promise<Outcome> => {
    if (running >= limits.processesMax) {
      throw new SysError("EAGAIN", `cannot work on the volume of "${app.name}": others do`, {
        hint: "try again in a moment",
        retryAfterMs: 1_000,
      });
    }
    running++;
    try {
      const command = enclose(app.id, deadline.copy);
      const job: Job = { file: command.volume, quotaBytes: storage.volumeBytesMax, task };
      const outcome = await converse(command, job, { machine, limits, app, ...deadline });
      if (outcome.kind !== "refused") return outcome;
      const { code, message, hint } = outcome;
      throw new SysError(code, message, hint === null ? {} : { hint });
    } finally {
      running--;
    }
  };
  return { perform };
}

interface Talk extends Deadline {
  readonly machine: Machine;
  readonly limits: VolumeLimits;
  readonly app: App;
}

type Output = ReadableStream<Uint8Array>;

/** Starts the process, hands it the job, reads its outcome. */
async function converse(command: VolumeCommand, job: Job, talk: Talk): Promise<Outcome> {
  const { machine, limits, app, timeoutMs, signal } = talk;
  const about = `cannot finish on the volume of "${app.name}"`;
  if (signal?.aborted) throw new SysError("ECANCELED", `${about}: the caller has gone`);
  const state: { why: SysError | null } = { why: null };
  const kill = (why: SysError) => {
    state.why ??= why;
    confined.kill();
  };
  const { child, confined } = command.start([new Blob([JSON.stringify(job)]), "pipe", "pipe"], () =>
    kill(new SysError("EFBIG", `${about}: it needs too much memory`)),
  );
  // What cannot be held still has its deadline.
  confined.ready.catch(() => undefined);
  const late = machine.after(timeoutMs, () =>
    kill(
      new SysError("ETIMEDOUT", `${about}: not done within ${timeoutMs / 1000} s`, {
        hint: "nothing of it was kept; ask for less, or do it in the app in pieces",
      }),
    ),
  );
  const gone = () => kill(new SysError("ECANCELED", `${about}: the caller has gone`));
  signal?.addEventListener("abort", gone);
  try {
    const room = limits.replyBytesMax + 65_536;
    const [text, errors] = await Promise.all([
      bounded(child.stdout as Output, room, (bytes) => {
        confined.started();
        if (bytes > room) kill(new SysError("EFBIG", `${about}: its reply is too large`));
      }),
      bounded(child.stderr as Output, limits.errorBytesMax, () => undefined),
    ]);
    await child.exited;
    if (state.why !== null) throw state.why;
    return outcomeOf(text, `${about}: its process failed: ${errors.slice(0, 500)}`);
  } finally {
    late.cancel();
    confined.ended();
    signal?.removeEventListener("abort", gone);
  }
}

function outcomeOf(text: string, failure: string): Outcome {
  try {
    return JSON.parse(text) as Outcome;
  } catch (error) {
    throw new SysError("EIO", failure, { cause: error });
  }
}

/** The first `bytesMax` bytes; what is beyond is read and dropped. */
async function bounded(
  stream: Output,
  bytesMax: number,
  arrived: (bytes: number) => void,
): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of stream) {
    bytes += piece.length;
    if (bytes <= bytesMax) pieces.push(piece);
    arrived(bytes);
  }
  return Buffer.concat(pieces).toString("utf8");
}
