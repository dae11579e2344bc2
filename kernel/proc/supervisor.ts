/**
 * The supervisor of one app: performs what the state machine decides, keeps those who wait for a
 * start, and moves traffic from an old process to a new one.
 *
 * Invariants
 * 1. `#current` is the only process that gets requests; others only finish what they have.
 * 2. Every event goes through `step`; nothing else changes the condition.
 * 3. Whoever waits is answered: by a process, by a refusal, or by the deadline of the start.
 */
import type { App, Release } from "../app/mod.ts";
import { SysError } from "../errno.ts";
import type { Machine, Timer } from "../machine.ts";
import { type ProcLimits, requestStreamsMax } from "./limits.ts";
import type { AppProcess } from "./process.ts";
import { type Action, type Condition, type Event, initial, step } from "./state.ts";

/** What a supervisor needs of the world. */
export interface SupervisorDeps {
  readonly machine: Machine;
  readonly limits: ProcLimits;
  /** The app now, and the release it should run; null when it has no server code. */
  wanted(): { app: App; release: Release } | null;
  /** Starts a process of a release. Rejects with SysError when it cannot even be spawned. */
  spawn(release: Release): Promise<AppProcess>;
  /** Told when the process has become ready, or stays down. */
  changed?(state: "running" | "crashed", reason: string | null): void;
  /** Writes a line into the app's log, from the kernel. */
  note(level: "info" | "warn" | "error", text: string): void;
}

/** Why a request will not be served, as the state machine sees it. */
export class NotRunning extends Error {
  override readonly name = "NotRunning";
  readonly kind: "broken" | "down" | "busy";
  readonly retryAfterMs: number | null;

  constructor(kind: "broken" | "down" | "busy", reason: string, retryAfterMs: number | null) {
    super(reason);
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}

interface Waiter {
  readonly since: number;
  readonly admit: (process: AppProcess) => void;
  readonly reject: (reason: NotRunning) => void;
}

export class Supervisor {
  readonly #deps: SupervisorDeps;
  #condition: Condition;
  #current: AppProcess | null = null;
  #spawning: object | null = null;
  #waiters: Waiter[] = [];
  #retry: { timer: Timer; dueAt: number } | null = null;
  readonly #others = new Set<AppProcess>();
  readonly #proven = new Map<string, { process: AppProcess; timer: Timer }>();
  #changed: (() => void)[] = [];
  #lastUsedMs: number;
  #closing = false;
  #replacement: Promise<void> | null = null;
  #lastLines: readonly string[] = [];
  restarts = 0;
  requests = 0;

  constructor(deps: SupervisorDeps, stopped: boolean) {
    this.#deps = deps;
    this.#condition = initial(stopped);
    this.#lastUsedMs = deps.machine.monotonicMs();
  }

  get condition(): Condition {
    return this.#condition;
  }

  /** The process that serves, or that is starting to. */
  get current(): AppProcess | null {
    return this.#current;
  }

  /** Requests that are not over: those that wait, and those its processes have. */
  get underWay(): number {
    const had = [this.#current, ...this.#others].map((process) => process?.inFlight ?? 0);
    return had.reduce((sum, count) => sum + count, this.#waiters.length);
  }

  /** The last lines of the process there is, or of the one there was. */
  get tail(): readonly string[] {
    return this.#current?.tail ?? this.#lastLines;
  }

  /** Whether a fresh process is being proved to take over. */
  get replacing(): boolean {
    return this.#replacement !== null;
  }

  /**
   * Has a process do something: at once when it runs, else as soon as it has started, in the very
   * moment it is known to run, so that it cannot be told to end in between. Rejects with NotRunning.
   */
  serve<T>(use: (process: AppProcess) => Promise<T>): Promise<T> {
    this.requests++;
    this.#lastUsedMs = this.#deps.machine.monotonicMs();
    const { state } = this.#condition;
    // One that is lost exits in a moment: its requests wait for the next process, sent to nobody.
    if (state === "running" && this.#current !== null && !this.#current.lost) {
      if (this.#current.inFlight < requestStreamsMax) return use(this.#current);
      return Promise.reject(new NotRunning("busy", "too many requests at once", 1000));
    }
    if (this.#waiters.length >= this.#deps.limits.waitingMax) {
      return Promise.reject(new NotRunning("busy", "too many requests wait for it", 1000));
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const since = this.#lastUsedMs;
    this.#waiters.push({ since, admit: (process) => resolve(use(process)), reject });
    this.tell({ kind: "wake" });
    return promise;
  }

  /** One event of the machine, and what it asks for. */
  tell(event: Event): void {
    const before = this.#condition;
    const { condition, actions } = step(before, event);
    this.#condition = condition;
    if (condition.state === "crashed" && before.state !== "crashed") {
      this.#deps.note("error", `stays down: ${condition.reason}`);
    }
    for (const action of actions) this.#perform(action);
    if (condition === before) return;
    this.#tellChanged();
    const { state, reason } = condition;
    if (state === before.state) return;
    if (state === "running" || state === "crashed") this.#deps.changed?.(state, reason);
  }

  /** Resolves when the state is one of these; at most as long as a start and an end may take. */
  async settled(...states: readonly Condition["state"][]): Promise<void> {
    const { machine, limits } = this.#deps;
    let late = false;
    const longest = limits.startTimeoutMs + limits.endTimeoutMs + limits.drainTimeoutMs;
    const timer = machine.after(longest, () => {
      late = true;
      this.#tellChanged();
    });
    while (!late && !states.includes(this.#condition.state)) {
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
    timer.cancel();
  }

  #tellChanged(): void {
    const told = this.#changed;
    this.#changed = [];
    for (const run of told) run();
  }

  #perform(action: Action): void {
    const { machine } = this.#deps;
    switch (action.kind) {
      case "spawn":
        void this.#spawn();
        return;
      case "admit":
        this.#admit();
        return;
      case "drain":
        void this.#current?.drain();
        return;
      case "kill":
        this.#kill();
        return;
      case "refuse":
        this.#refuse();
        return;
      case "unwait":
        this.#retry?.timer.cancel();
        this.#retry = null;
        return;
      case "wait": {
        const timer = machine.after(action.delayMs, () => {
          this.#retry = null;
          this.tell({ kind: "retry" });
        });
        this.#retry = { timer, dueAt: machine.monotonicMs() + action.delayMs };
        this.restarts++;
        const seconds = (action.delayMs / 1000).toFixed(1);
        this.#deps.note("warn", `${this.#condition.reason}; starts again in ${seconds} s`);
        return;
      }
    }
  }

  async #spawn(): Promise<void> {
    const turn = {};
    this.#spawning = turn;
    const wanted = this.#deps.wanted();
    try {
      if (wanted === null) throw new Error("it has no server code");
      const process = await this.#deps.spawn(wanted.release);
      if (this.#spawning !== turn || this.#closing) return void this.#retire(process);
      this.#current = process;
      this.#watch(process);
      await process.ready;
      if (this.#current === process) this.tell({ kind: "ready", at: this.#nowMs() });
    } catch (error) {
      // A process that was spawned tells its end by itself; this is for one that never was.
      if (this.#spawning === turn && this.#current === null) this.#exited(reasonOf(error));
    }
  }

  #watch(process: AppProcess): void {
    void process.exited.then((reason) => {
      if (this.#current !== process) return;
      this.#current = null;
      this.#lastLines = process.tail;
      this.#exited(withLastWords(reason, process.lastWords));
    });
  }

  #exited(reason: string): void {
    const { machine } = this.#deps;
    this.tell({ kind: "exit", at: this.#nowMs(), chance: machine.chance(), reason });
    // Nobody is left behind by an exit that led back to sleep.
    if (this.#waiters.length > 0 && this.#condition.state === "sleeping")
      this.tell({ kind: "wake" });
  }

  #nowMs(): number {
    return this.#deps.machine.monotonicMs();
  }

  #admit(): void {
    const process = this.#current;
    const waiters = this.#waiters;
    if (process === null) return;
    this.#waiters = [];
    this.#lastUsedMs = this.#nowMs();
    for (const waiter of waiters) waiter.admit(process);
  }

  #kill(): void {
    this.#spawning = null;
    if (this.#current !== null) {
      this.#current.kill(this.#condition.reason ?? "killed");
      return;
    }
    // It was not spawned yet: there is nothing to wait for.
    queueMicrotask(() => this.#exited(this.#condition.reason ?? "killed"));
  }

  #refuse(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    const { state, reason } = this.#condition;
    const down = state === "stopped" || state === "crashed" || state === "draining";
    const why = new NotRunning(down ? "down" : "broken", reason ?? state, null);
    for (const waiter of waiters) waiter.reject(why);
  }

  /** Looks at deadlines and idleness; called every `tickMs`. */
  tick(idleMs: number | null): void {
    const now = this.#nowMs();
    for (const process of [this.#current, ...this.#others]) process?.expire(now);
    this.look();
    this.#expireWaiters(now);
    const process = this.#current;
    if (this.#condition.state !== "running" || process === null) return;
    if (process.busy) this.#lastUsedMs = now;
    else if (idleMs !== null && now - this.#lastUsedMs >= idleMs) this.tell({ kind: "idle" });
  }

  /** Looks at what its processes use of the processors. */
  look(): void {
    this.#current?.look();
    for (const process of this.#others) process.look();
  }

  #expireWaiters(now: number): void {
    const limit = this.#deps.limits.startTimeoutMs;
    while (this.#waiters[0] !== undefined && now - this.#waiters[0].since >= limit) {
      const retryAfterMs = this.#retry === null ? 1000 : Math.max(1000, this.#retry.dueAt - now);
      const reason = this.#condition.reason ?? "it takes long to start";
      this.#waiters.shift()?.reject(new NotRunning("busy", reason, retryAfterMs));
    }
  }

  /** Runs a process of a release until it is ready. ENOEXEC with its output; then it is gone. */
  async #ready(release: Release, spawning: Promise<AppProcess>): Promise<AppProcess> {
    const process = await spawning;
    this.#others.add(process);
    void process.exited.then(() => this.#others.delete(process));
    try {
      await process.ready;
      return process;
    } catch (error) {
      await this.#retire(process);
      throw notReady(release, error, process);
    }
  }

  /** Has a release show that it starts, and ends it. ENOEXEC with its output. */
  async attempt(release: Release, spawn: () => Promise<AppProcess>): Promise<void> {
    await this.#retire(await this.#ready(release, spawn()));
  }

  /** Starts a release beside the running one and keeps it for `adopt`. ENOEXEC with its output. */
  async prove(release: Release): Promise<void> {
    const process = await this.#ready(release, this.#deps.spawn(release));
    const { machine, limits } = this.#deps;
    // Whoever else proves it at this time is served by this process, which has the newest settings.
    this.abandon(release.id);
    const forget = () => {
      this.#proven.delete(release.id);
      void this.#retire(process);
    };
    const timer = machine.after(limits.startTimeoutMs * 4, forget);
    this.#proven.set(release.id, { process, timer });
  }

  /** Moves traffic to what `prove` has started for this release; false when there is nothing. */
  adopt(releaseId: string): boolean {
    const proven = this.#proven.get(releaseId);
    if (proven === undefined) return false;
    this.#proven.delete(releaseId);
    proven.timer.cancel();
    const { process } = proven;
    const old = this.#current;
    this.#current = process;
    this.#spawning = null;
    this.tell({ kind: "adopted", at: this.#nowMs() });
    if (this.#condition.state !== "running") {
      this.#current = old;
      void this.#retire(process);
      return true;
    }
    this.#others.delete(process);
    this.#watch(process);
    if (old !== null && old !== process) void this.#retire(old);
    return true;
  }

  /** Replaces the running process by a fresh one of the wanted release, losing no request. */
  async replace(): Promise<void> {
    const under = this.#replacement ?? Promise.resolve();
    // One after the other: what changed meanwhile is in the next one.
    const next = under.catch(() => undefined).then(() => this.#replaceOnce());
    this.#replacement = next;
    try {
      await next;
    } finally {
      if (this.#replacement === next) this.#replacement = null;
    }
  }

  async #replaceOnce(): Promise<void> {
    const wanted = this.#deps.wanted();
    if (wanted === null || this.#closing) return;
    const { id } = wanted.release;
    await this.prove(wanted.release);
    // A deploy may have been quicker: then it runs what it should.
    if (this.#deps.wanted()?.release.id === id) this.adopt(id);
    else this.abandon(id);
  }

  /** Ends what `prove` has started for a release that will not be adopted. */
  abandon(releaseId: string): void {
    const proven = this.#proven.get(releaseId);
    if (proven === undefined) return;
    this.#proven.delete(releaseId);
    proven.timer.cancel();
    void this.#retire(proven.process);
  }

  /** Lets a process finish and ends it. */
  async #retire(process: AppProcess): Promise<void> {
    this.#others.add(process);
    await process.drain();
    this.#others.delete(process);
  }

  /** Ends everything; the app is of no concern any more. */
  async close(): Promise<void> {
    this.#closing = true;
    this.tell({ kind: "stop", reason: "the kernel lets go of it" });
    this.#retry?.timer.cancel();
    for (const { process, timer } of this.#proven.values()) {
      timer.cancel();
      void this.#retire(process);
    }
    this.#proven.clear();
    const processes = [this.#current, ...this.#others].filter((process) => process !== null);
    const { limits } = this.#deps;
    // The whole machine ends: what an app has begun it may finish, as in a deploy.
    const mostMs = (process: AppProcess) =>
      process.busy ? limits.drainTimeoutMs : limits.endTimeoutMs;
    await Promise.all(processes.map((process) => process.end(mostMs(process))));
  }

  /** Ids of the releases that have a process. */
  releases(): string[] {
    const processes = [this.#current, ...this.#others].filter((process) => process !== null);
    return processes.map((process) => process.program.release.id);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A reason with the line that explains it best, when the process ended by itself and left one. */
function withLastWords(reason: string, words: readonly string[]): string {
  if (!/^(exited with code|ended by SIG)/.test(reason)) return reason;
  const line =
    words.findLast((text) => /^\s*[A-Za-z]*error: /i.test(text)) ??
    words.find((text) => /error|cannot|can't|failed/i.test(text));
  return line === undefined ? reason : `${reason}: ${line.trim().slice(0, 300)}`;
}

/** Lines of output in the hint of a refused first release. */
const shownLinesMax = 3;

/** A release that did not become ready, explained by what it printed. */
function notReady(release: Release, error: unknown, process: AppProcess): SysError {
  if (error instanceof SysError) return error;
  const why = withLastWords(reasonOf(error), process.lastWords);
  const message = `cannot run release ${release.number}: ${why}`;
  const { name, releaseId } = process.program.app;
  const printed = process.tail.slice(-shownLinesMax).map((text) => text.trim());
  // An app whose first release is refused is not there, and neither is its log.
  const first = printed.length === 0 ? "it printed nothing" : `it printed: ${printed.join(" | ")}`;
  const hint = releaseId === null ? first : `fazt proc logs ${name} shows its output`;
  return new SysError("ENOEXEC", message, { hint });
}
