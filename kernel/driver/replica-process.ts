/**
 * The replicator's process as the kernel holds it: started with a job, asked over lines, ended by
 * the end of its input. What it says is its word: parsed, kept, and never trusted with more than
 * a status.
 */
import { type ErrorBody, SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Ask, Job, Looked, Said } from "./child.ts";
import type { LookInside, MadeFile } from "./replica-restore.ts";
import type { ReplicatorStatus } from "./replicator.ts";

/** Characters of one line the process may say. */
const lineCharsMax = 16 * 1024 * 1024;

const asError = ({ code, message, hint }: ErrorBody): SysError =>
  new SysError(code, message, hint === null ? {} : { hint });

/** Reads what a process says, line by line, until it ends. */
async function listen(
  output: ReadableStream<Uint8Array>,
  heard: (said: Said) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let held = "";
  for await (const piece of output) {
    held += decoder.decode(piece, { stream: true });
    const lines = held.split("\n");
    held = lines.pop() ?? "";
    if (held.length > lineCharsMax) throw new Error("a line without an end");
    for (const line of lines) heard(JSON.parse(line) as Said);
  }
}

function spawn(program: readonly string[], job: Job) {
  const child = Bun.spawn([...program, "replicator"], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    env: {},
    cwd: "/",
  });
  child.stdin.write(`${JSON.stringify(job)}\n`);
  child.stdin.flush();
  return child;
}

/** What a job is started with beside itself. */
export interface JobOptions {
  /** Ends it: the kernel does not outlive its jobs, nor they it. */
  readonly signal?: AbortSignal | undefined;
  readonly heard?: (said: Said) => void;
  /** Looks through what the job made; absent: the job does. */
  readonly look?: LookInside | undefined;
}

/** Does one job in a process of its own and answers its value. The job's refusals come through. */
export async function runJob(
  program: readonly string[],
  job: Job,
  { signal, look, heard = () => undefined }: JobOptions = {},
): Promise<unknown> {
  if (signal?.aborted === true)
    throw new SysError("EIO", "cannot run the replicator: it is ending");
  const child = spawn(program, { ...job, asks: look !== undefined });
  const end = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", end);
  try {
    return await outcomeOf(child, look, heard);
  } finally {
    signal?.removeEventListener("abort", end);
  }
}

async function outcomeOf(
  child: ReturnType<typeof spawn>,
  look: LookInside | undefined,
  heard: (said: Said) => void,
): Promise<unknown> {
  if (look === undefined) child.stdin.end();
  const errors = child.stderr.text();
  const said: Said[] = [];
  await listen(child.stdout, (each) => {
    said.push(each);
    heard(each);
    if (each.kind === "look" && look !== undefined) void answerLook(child, look, each.file);
    if (each.kind === "done" || each.kind === "failed") child.stdin.end();
  });
  const code = await child.exited;
  const last = said.at(-1);
  if (last?.kind === "done") return last.value;
  if (last?.kind === "failed") throw asError(last.error);
  throw new SysError("EIO", `cannot run the replicator: it ended with code ${code}`, {
    cause: await errors,
  });
}

async function answerLook(
  child: ReturnType<typeof spawn>,
  look: LookInside,
  file: MadeFile,
): Promise<void> {
  let looked: Looked;
  try {
    looked = { tables: await look(file), error: null };
  } catch (error) {
    const known = error instanceof SysError ? error : new SysError("EIO", `cannot look: ${error}`);
    looked = { tables: null, error: known.toBody(null) };
  }
  // Who was killed meanwhile reads nothing.
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.stdin.write(`${JSON.stringify(looked)}\n`);
  child.stdin.flush();
}

/** A replicator that follows the databases until `end`. */
export class Following {
  /** Resolves with the reason when the process is gone. */
  readonly gone: Promise<string>;
  readonly #child: ReturnType<typeof spawn>;
  readonly #asked = new Map<number, PromiseWithResolvers<void>>();
  #next = 1;
  status: ReplicatorStatus | null = null;

  constructor(program: readonly string[], job: Job) {
    this.#child = spawn(program, job);
    this.gone = this.#run();
  }

  async #run(): Promise<string> {
    const errors = this.#child.stderr.text();
    let failure: string | null = null;
    const heard = (said: Said) => {
      if (said.kind === "status") this.status = said.status;
      if (said.kind === "answer") this.#answered(said.id, said.error);
      if (said.kind === "failed") failure = said.error.message;
    };
    await listen(this.#child.stdout, heard).catch((error: Error) => {
      failure = error.message;
      this.#child.kill("SIGKILL");
    });
    await this.#child.exited;
    const [line = ""] = (await errors).trim().split("\n").slice(-1);
    const reason = failure ?? (line === "" ? "it ended" : line);
    const body = { code: "EIO", message: `cannot replicate: ${reason}`, hint: null } as const;
    for (const id of [...this.#asked.keys()]) this.#answered(id, { ...body, call: null });
    return reason;
  }

  #answered(id: number, error: ErrorBody | null): void {
    const waiting = this.#asked.get(id);
    this.#asked.delete(id);
    if (error === null) waiting?.resolve();
    else waiting?.reject(asError(error));
  }

  /** Asks it to do something and waits for the end of it. */
  ask(what: Ask["ask"]): Promise<void> {
    const id = this.#next++;
    const waiting = Promise.withResolvers<void>();
    this.#asked.set(id, waiting);
    this.#child.stdin.write(`${JSON.stringify({ id, ask: what } satisfies Ask)}\n`);
    this.#child.stdin.flush();
    return waiting.promise;
  }

  /**
   * Lets it ship what is left and end, and kills it when it has not after `mostMs`: the log keeps
   * what is left. Resolves when it is gone.
   */
  async end(machine: Machine, mostMs: number): Promise<void> {
    this.#child.stdin.end();
    const late = machine.after(mostMs, () => this.#child.kill("SIGKILL"));
    await this.gone;
    late.cancel();
  }
}
