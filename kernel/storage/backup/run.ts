/**
 * The kernel's side of a backup: starts the process that writes it and hands its bytes on, piece by
 * piece, as fast as they are taken. One backup at a time, because each pins the WAL.
 *
 * A backup that fails before its first byte is refused with its errno; one that fails later breaks
 * its stream, so that nobody takes half a backup for a whole one. A receiver that takes nothing for
 * `backupStallMs` is given up, because the WAL grows until the last byte has gone.
 */
import { isErrno, SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { StorageLimits } from "../limits.ts";
import type { BackupJob } from "./child.ts";
import { checkRecipients } from "./seal.ts";

export interface BackupOptions {
  /** The version of fazt that makes it. */
  readonly fazt: string;
  /** Age recipients (`age1…`); with any, the backup is encrypted and holds the machine key. */
  readonly recipients: readonly string[];
  /** The same with a passphrase; null for none. */
  readonly passphrase: string | null;
}

export interface BackupParts {
  readonly machine: Machine;
  readonly dataDir: string;
  readonly limits: StorageLimits;
  /** The command line of this very program, without its words. */
  readonly program: readonly string[];
  /** Told what the owner should know though the backup goes on. */
  warn(text: string): void;
}

/** Starts backups. EBUSY, EINVAL (recipients), and what the first read of the data says. */
export type Backups = (options: BackupOptions) => Promise<ReadableStream<Uint8Array>>;

type Child = Bun.Subprocess<Blob, "pipe", "pipe">;

function start({ program, dataDir, machine }: BackupParts, options: BackupOptions): Child {
  const job: BackupJob = { ...options, dataDir, createdAt: machine.now() };
  return Bun.spawn([...program, "storage-child"], {
    stdin: new Blob([JSON.stringify(job)]),
    stdout: "pipe",
    stderr: "pipe",
    env: {},
    cwd: dataDir,
  });
}

/** The failure the process told of, or that it ended without a word. */
function failureOf(lines: readonly string[], exit: string): SysError {
  for (const line of lines) {
    const told = parsed(line);
    if (!isErrno(told["code"])) continue;
    const hint = told["hint"];
    const options = typeof hint === "string" ? { hint } : {};
    return new SysError(told["code"], String(told["message"]), options);
  }
  return new SysError("EIO", `cannot back up: its process ended early (${exit})`);
}

function parsed(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    // A crash of the runtime speaks no JSON; it is told by its exit.
    return {};
  }
}

class Run {
  readonly #parts: BackupParts;
  readonly #child: Child;
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #errors: Promise<string>;
  #stall: { cancel(): void } | null = null;
  #ended: () => void;

  constructor(parts: BackupParts, child: Child, ended: () => void) {
    this.#parts = parts;
    this.#child = child;
    this.#pieces = child.stdout[Symbol.asyncIterator]();
    this.#errors = child.stderr.text();
    this.#ended = ended;
  }

  /** The stream, once its first piece is there. */
  async stream(): Promise<ReadableStream<Uint8Array>> {
    let waiting = await this.#next();
    this.#watch();
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          this.#stall?.cancel();
          const piece = waiting ?? (await this.#next());
          waiting = null;
          if (piece === null) controller.close();
          else controller.enqueue(piece);
          if (piece !== null) this.#watch();
        },
        cancel: () => this.stop(),
      },
      { highWaterMark: 0 },
    );
  }

  stop(): void {
    this.#stall?.cancel();
    this.#child.kill("SIGKILL");
    this.#ended();
  }

  #watch(): void {
    const { machine, limits } = this.#parts;
    this.#stall = machine.after(limits.backupStallMs, () => {
      this.#parts.warn("backup given up: its receiver takes nothing");
      this.stop();
    });
  }

  /** The next piece, null at a good end. */
  async #next(): Promise<Uint8Array | null> {
    const next = await this.#pieces.next();
    if (next.done !== true) return next.value;
    const exitCode = await this.#child.exited;
    const lines = (await this.#errors).split("\n").filter((line) => line !== "");
    this.#ended();
    for (const line of lines) {
      const { warning } = parsed(line);
      if (warning !== undefined) this.#parts.warn(`backup: ${String(warning)}`);
    }
    if (exitCode === 0) return null;
    throw failureOf(lines, String(this.#child.signalCode ?? `exit ${exitCode}`));
  }
}

/** Makes backups of one data directory; `stop` ends the one under way. */
export function createBackups(parts: BackupParts): { start: Backups; stop(): void } {
  let running: Run | null = null;
  return {
    async start(options) {
      checkRecipients(options.recipients, options.passphrase);
      if (running !== null) {
        throw new SysError("EBUSY", "cannot back up: another backup is under way", {
          hint: "wait for it to end, or interrupt it",
          retryAfterMs: 5_000,
        });
      }
      const run: Run = new Run(parts, start(parts, options), () => {
        if (running === run) running = null;
      });
      running = run;
      return await run.stream().catch((error: unknown) => {
        run.stop();
        throw error;
      });
    },
    stop: () => running?.stop(),
  };
}
