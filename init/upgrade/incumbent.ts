/**
 * A kernel that answers, whoever runs it: this very process, or one that it started. The conductor
 * hands over from one to another and need not know which is which.
 */
import { SysError } from "../../kernel/errno.ts";
import type { Order } from "../../kernel/proc/upgrade/mod.ts";
import type { StartOptions } from "../options.ts";
import type { Ready, Running } from "../start.ts";
import { lines, objects, type Said, type Told } from "./protocol.ts";
import { type Seen, seenBy } from "./seen.ts";
import type { Awake } from "./warm.ts";

export interface Incumbent {
  readonly pid: number;
  /** Where it answers. */
  readonly ready: Ready;
  /** What it counts; null: it says nothing. */
  look(): Promise<Seen | null>;
  /**
   * Begins nothing by itself any more. False: it did not do so in time. EBUSY: it has something under
   * way that must not be cut, and goes on as if nobody had asked.
   */
  yieldWork(withinMs: number): Promise<boolean>;
  /** Another one listens: drains and ends. */
  leave(): Promise<void>;
  /** It need not share with anybody any more. */
  alone(): void;
  /** Ends it in order; answers its exit code. */
  end(): Promise<number>;
  /** Ends it at once; resolves when it is gone. ETIMEDOUT: it is this very process. */
  kill(): Promise<void>;
}

/** Resolves with null when a promise takes longer. */
export async function within<T>(work: Promise<T>, ms: number): Promise<T | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), ms);
  return await Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}

/** The kernel in this process. */
export function ownKernel(running: Running): Incumbent {
  const { booted, ready } = running;
  return {
    pid: process.pid,
    ready,
    look: async () => seenBy(booted.kernel),
    yieldWork: async (ms) =>
      (await within(
        booted.yieldWork().then(() => true),
        ms,
      )) ?? false,
    leave: () => running.leave(),
    alone: () => undefined,
    end: () => running.stop().then(() => 0),
    // It would take the one that replaces it along: going back waits for it once more.
    kill: async () => {
      throw new SysError("ETIMEDOUT", "the kernel that runs did not let go of its work in time");
    },
  };
}

/** Lines kept of what a kernel said. */
const linesKept = 20;
/** Milliseconds a kernel may take to answer a look. */
const lookMsMax = 1_500;

/** How a process ended, in words. */
export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
}

export const endedText = ({ code, signal }: Ended): string =>
  signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`;

export interface LeadOptions {
  readonly options: StartOptions;
  readonly beside: readonly number[];
  readonly appliance: boolean;
  readonly awake: readonly Awake[];
}

/** A kernel in a process of its own. */
export class Successor implements Incumbent {
  readonly ended: Promise<Ended>;
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #awake = Promise.withResolvers<string>();
  readonly #ready = Promise.withResolvers<Ready>();
  #yielded = Promise.withResolvers<boolean>();
  readonly #looks = new Map<number, (seen: Seen | null) => void>();
  readonly #lines: string[] = [];
  #ids = 0;
  #at: Ready | null = null;

  constructor(program: readonly string[], hears: SuccessorHears) {
    this.#child = Bun.spawn([...program, "upgrade-child"], {
      stdio: ["pipe", "pipe", "pipe"],
      env: hears.env,
    });
    for (const { promise } of [this.#awake, this.#ready]) promise.catch(() => undefined);
    void this.#listen(hears);
    void this.#keepLines();
    this.ended = this.#child.exited.then(() => {
      const { exitCode: code, signalCode } = this.#child;
      const ended = { code, signal: signalCode === null ? null : String(signalCode) };
      const gone = new SysError("EIO", `cannot use the new kernel: ${endedText(ended)}`);
      this.#awake.reject(gone);
      this.#ready.reject(gone);
      this.#yielded.resolve(true);
      for (const tell of this.#looks.values()) tell(null);
      return ended;
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get ready(): Ready {
    if (this.#at === null) throw new Error("the kernel is not ready");
    return this.#at;
  }

  get lastLines(): readonly string[] {
    return this.#lines;
  }

  async #listen(hears: SuccessorHears): Promise<void> {
    const other = (line: string) => this.#keep(line);
    for await (const said of objects<Said>(this.#child.stdout, other)) {
      if (said.kind === "awake") this.#awake.resolve(said.version);
      else if (said.kind === "failed") {
        this.#keep(said.message);
        this.#ready.reject(new SysError("EIO", said.message));
      } else if (said.kind === "ready") {
        this.#at = said.ready;
        this.#ready.resolve(said.ready);
      } else if (said.kind === "yielded") this.#yielded.resolve(true);
      else if (said.kind === "busy") this.#goesOn(said.message);
      else if (said.kind === "seen") this.#looks.get(said.id)?.(said.seen);
      else if (said.kind === "order") hears.order(said.order);
      else if (said.kind === "setupCode") hears.setupCode(said.code);
    }
  }

  async #keepLines(): Promise<void> {
    for await (const line of lines(this.#child.stderr)) {
      this.#keep(line);
      process.stderr.write(`${line}\n`);
    }
  }

  #keep(line: string): void {
    if (line.trim() === "") return;
    this.#lines.push(line.slice(0, 500));
    if (this.#lines.length > linesKept) this.#lines.shift();
  }

  /** It has refused to yield; it may be asked again. */
  #goesOn(message: string): void {
    const { promise, reject } = this.#yielded;
    this.#yielded = Promise.withResolvers<boolean>();
    promise.catch(() => undefined);
    reject(new SysError("EBUSY", message));
  }

  #tell(told: Told): void {
    try {
      this.#child.stdin.write(`${JSON.stringify(told)}\n`);
      void this.#child.stdin.flush();
    } catch {
      // It has ended: who waits for it hears so.
    }
  }

  /** Waits until it runs at all; answers its version. EIO when it ends before. */
  awake(): Promise<string> {
    return this.#awake.promise;
  }

  /** Has it boot and listen; resolves when it answers. EIO with what it said. */
  lead(how: LeadOptions): Promise<Ready> {
    this.#tell({ kind: "lead", ...how });
    return this.#ready.promise;
  }

  async look(): Promise<Seen | null> {
    const id = this.#ids++;
    const { promise, resolve } = Promise.withResolvers<Seen | null>();
    this.#looks.set(id, resolve);
    this.#tell({ kind: "look", id });
    return await within(promise, lookMsMax).finally(() => this.#looks.delete(id));
  }

  async yieldWork(ms: number): Promise<boolean> {
    this.#tell({ kind: "yield" });
    return (await within(this.#yielded.promise, ms)) ?? false;
  }

  async leave(): Promise<void> {
    this.#tell({ kind: "leave" });
    await this.ended;
  }

  alone(): void {
    this.#tell({ kind: "alone" });
  }

  async end(): Promise<number> {
    this.#tell({ kind: "end" });
    const { code } = await this.ended;
    return code ?? 1;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

/** What a kernel's process is given, and who hears what it says by itself. */
export interface SuccessorHears {
  readonly env: Record<string, string | undefined>;
  order(order: Order): void;
  setupCode(code: string): void;
}
