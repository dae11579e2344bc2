/**
 * One process of an app: spawned in the sandbox with one socket, told what to run, ready when it
 * says so (and its health path answers), ended in order or killed.
 *
 * Rules
 * 1. Whatever arrives on the socket is the app's word and no more; a protocol violation kills the
 *    process and touches nothing else.
 * 2. `exited` resolves exactly once, with a reason a person can read; then nothing of it is left.
 * 3. Its output goes to the log by line; the last lines explain a start that failed.
 */
import type { App, Release } from "../app/mod.ts";
import type { Caller } from "../caller.ts";
import type { Histogram } from "../histogram.ts";
import type { Machine } from "../machine.ts";
import type { LogLevel } from "../storage/mod.ts";
import { type Answer, answerCall, type CallDesk } from "./answer.ts";
import type { Instructions } from "./child.ts";
import { AppFailure, Exchange, type ExchangeOwner, type HeadCache } from "./exchange.ts";
import {
  appGrants,
  callStreamsMax,
  followAfterMs,
  lastWordsMs,
  type ProcLimits,
  tailLinesMax,
} from "./limits.ts";
import { ownLine, paced, readLines } from "./output.ts";
import type { RequestMeta } from "./proc.ts";
import { usageOf } from "./procfs.ts";
import type { Command, Confined } from "./sandbox/mod.ts";
import { Link } from "./stream.ts";
import type { Turns } from "./turns.ts";
import { frame, type Transport } from "./wire.ts";

/** What a process needs of the world. */
export interface ProcessDeps {
  readonly machine: Machine;
  readonly limits: ProcLimits;
  /** Bytes the app's SQL volume may have. */
  readonly quotaBytes: number;
  readonly answer: Answer;
  /** How its bodies take turns with others'. */
  readonly turns?: Turns;
  /** Notes how long the app took to the head of a reply. */
  readonly latency?: Histogram;
  log(line: { app: App; release: Release; level: LogLevel; text: string }): void;
}

/** What to run. */
export interface Program {
  readonly app: App;
  readonly release: Release;
  readonly command: Command;
  readonly env: Readonly<Record<string, string>>;
}

export class AppProcess implements ExchangeOwner {
  readonly program: Program;
  readonly startedAt: number;
  /** Resolves with the reason when the process is gone. */
  readonly exited: Promise<string>;
  /** Resolves when it may serve; rejects with a reason when it will not. */
  readonly ready: Promise<void>;
  readonly #deps: ProcessDeps;
  readonly #child: Bun.Subprocess;
  readonly #confined: Confined;
  readonly #link: Link;
  readonly heads: HeadCache = new Map();
  readonly #awaiting = new Set<Exchange>();
  readonly #tail: { readonly text: string; readonly atMs: number }[] = [];
  #endedMs = 0;
  readonly #hello = Promise.withResolvers<void>();
  #socket: { end(): void } | null = null;
  #inFlight = 0;
  /** Work goes on after its reply (`waitUntil`), as the process says. */
  #background = false;
  #following = false;
  /** When it was asked whether it is there, while it has not said so. */
  #pingedAt: number | null = null;
  #whenQuiet: (() => void) | null = null;
  #blame: string | null = null;
  #serves = false;
  #gone = false;

  constructor(program: Program, deps: ProcessDeps) {
    this.program = program;
    this.#deps = deps;
    this.startedAt = deps.machine.now();
    const stdio = ["ignore", "pipe", "pipe", "socket-fd"] as const;
    const { child, confined } = program.command.start(stdio, () => this.kill("out of memory"));
    this.#child = child;
    this.#confined = confined;
    this.#link = this.#makeLink();
    const outputs = this.#readOutput();
    this.exited = this.#child.exited.then(async () => {
      this.#endedMs = deps.machine.monotonicMs();
      await outputs;
      return this.#ended();
    });
    this.ready = this.#start();
    // A process that ends while nobody waits for it has told its reason through `exited`.
    this.ready.catch(() => undefined);
    this.#hello.promise.catch(() => undefined);
  }

  /** Requests whose replies are not complete. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether it has anything to do: replies, or what it said goes on after them. */
  get busy(): boolean {
    return this.#inFlight > 0 || this.#background;
  }

  /** Readiness, and whether it works in the background: the process's word, for what it is. */
  #said(text: string): void {
    let said: { ready?: unknown; busy?: unknown } | null = null;
    try {
      said = JSON.parse(text);
    } catch {
      this.kill("broke the protocol: a hello that is no JSON");
    }
    if (said?.ready === true) {
      this.#confined.started();
      this.#serves = true;
      this.look();
      this.#hello.resolve();
    }
    if (typeof said?.busy !== "boolean") return;
    this.#background = said.busy;
    if (!this.busy) this.#whenQuiet?.();
  }

  /** The process itself (not the sandbox around it), on the host; null when it cannot be told. */
  get pid(): number | null {
    return this.#confined.pid();
  }

  /** Its socket is gone, and its exit will follow: what is sent now reaches nobody. */
  get lost(): boolean {
    return this.#link.closed;
  }

  /** The last lines it printed. */
  get tail(): readonly string[] {
    return this.#tail.map(({ text }) => text);
  }

  /** Those of them that may say why it ended: what it printed long before is no reason. */
  get lastWords(): readonly string[] {
    const fromMs = this.#serves ? this.#endedMs - lastWordsMs : 0;
    return this.#tail.filter(({ atMs }) => atMs >= fromMs).map(({ text }) => text);
  }

  /** Why it was ended, for the one who asks after its exit. */
  blame(reason: string): void {
    this.#blame ??= reason;
  }

  #makeLink(): Link {
    const fd = (this.#child.stdio as unknown as (number | null)[])[3];
    let transport: Transport | null = null;
    const desk: CallDesk = { caller: this.#caller(), answer: this.#deps.answer, inputBytes: 0 };
    const { turns } = this.#deps;
    const link = new Link({
      side: "kernel",
      transport: { write: (...piece) => transport?.write(...piece) ?? 0 },
      acceptMax: callStreamsMax,
      accept: (stream, opened) => answerCall(stream, opened, desk),
      control: (type, text) => {
        if (type === frame.hello) this.#said(text);
        else if (type === frame.pong) this.#pingedAt = null;
      },
      turn: (bytes, go) => (turns === undefined ? go() : turns.take(this, bytes, go)),
      violated: (reason) => this.kill(`broke the protocol: ${reason}`),
    });
    void Bun.connect({
      fd,
      socket: {
        open: (socket: Transport & { end(): void }) => {
          transport = socket;
          this.#socket = socket;
          link.wire.drained();
        },
        data: (_socket: Transport, bytes: Buffer) => link.feed(bytes),
        drain: () => link.wire.drained(),
        close: () => this.#lose("the app has gone"),
        error: () => this.#lose("the app's socket failed"),
      },
    } as unknown as Bun.UnixSocketOptions<undefined>);
    return link;
  }

  /** A process without its socket is of no use: its exit follows, or is made to. */
  #lose(reason: string): void {
    this.#link.close(reason);
    const { machine, limits } = this.#deps;
    const late = machine.after(limits.endTimeoutMs, () => this.kill("closed its socket"));
    void this.exited.then(() => late.cancel());
  }

  /** Who its calls come from: decided here, never by what it says. */
  #caller(): Caller {
    const { app, release } = this.program;
    return {
      kind: "app",
      via: "app",
      userId: null,
      appId: app.id,
      releaseId: release.id,
      grants: appGrants,
      address: null,
    };
  }

  async #start(): Promise<void> {
    const { app, release, command, env } = this.program;
    const { machine, limits } = this.#deps;
    const instructions: Instructions = {
      app: app.name,
      release: release.id,
      entry: command.entry,
      volume: command.volume,
      quotaBytes: this.#deps.quotaBytes,
      env,
    };
    const failed = this.exited.then((reason) => Promise.reject(new Error(reason)));
    try {
      await Promise.race([this.#confined.ready, failed]);
    } catch (error) {
      this.kill((error as Error).message);
      throw error;
    }
    this.#link.hello(instructions);
    const late = machine.after(limits.startTimeoutMs, () => {
      this.kill(`not ready within ${limits.startTimeoutMs / 1000} s`);
    });
    try {
      await Promise.race([this.#hello.promise, failed]);
      const { health } = release.manifest;
      if (health !== null) await Promise.race([this.#healthy(health), failed]);
    } finally {
      late.cancel();
    }
  }

  /** Asks the health path until it answers 2xx. */
  async #healthy(path: string): Promise<void> {
    const { machine } = this.#deps;
    for (let i = 0; !this.#gone; i++) {
      const meta = { id: `health-${i}`, address: null, userId: null, upgrade: null };
      const request = new Request(`http://localhost${path}`);
      const reply = await this.fetch(request, meta).catch(() => null);
      await reply?.body?.cancel();
      if (reply?.ok) return;
      await new Promise<void>((resolve) => machine.after(100, resolve));
    }
  }

  /** Passes a request to the app. Rejects with AppFailure. */
  fetch(request: Request, meta: RequestMeta): Promise<Response> {
    if (this.#link.closed) return Promise.reject(new AppFailure(502, "the app has gone"));
    const nowMs = this.#deps.machine.monotonicMs();
    this.#deps.turns?.asked(this, nowMs);
    const exchange = new Exchange(meta, this, nowMs);
    this.#inFlight++;
    this.#awaiting.add(exchange);
    this.#followLater();
    return exchange.start(this.#link, request);
  }

  headCame(exchange: Exchange): void {
    const { latency, machine } = this.#deps;
    latency?.note(machine.monotonicMs() - exchange.startedAt);
    this.#awaiting.delete(exchange);
  }

  over(): void {
    this.#inFlight--;
    if (!this.busy) this.#whenQuiet?.();
  }

  /** Has the clients of those that still wait a little later watched; one timer for all. */
  #followLater(): void {
    if (this.#following) return;
    this.#following = true;
    this.#deps.machine.after(followAfterMs, () => {
      this.#following = false;
      for (const exchange of this.#awaiting) exchange.follow();
    });
  }

  /** Fails the requests that have waited too long for their heads; ends one that is stuck. */
  expire(nowMs: number): void {
    const limit = this.#deps.limits.responseTimeoutMs;
    this.#probe(nowMs, limit);
    for (const exchange of this.#awaiting) {
      // In order of their start: the first one in time ends the search.
      if (nowMs - exchange.startedAt < limit) return;
      exchange.expire(limit);
    }
  }

  /**
   * A request that waits may wait for something outside; a process that does not even say that it
   * is there for as long does nothing any more but use the processor.
   */
  #probe(nowMs: number, limitMs: number): void {
    const [oldest] = this.#awaiting;
    if (this.#pingedAt !== null) {
      if (nowMs - this.#pingedAt < limitMs / 2) return;
      this.kill(`its event loop was blocked for over ${limitMs / 2000} s`);
    } else if (oldest !== undefined && nowMs - oldest.startedAt >= limitMs / 2) {
      this.#pingedAt = nowMs;
      this.#link.ping();
    }
  }

  /** Looks at what it uses of the processors, once it serves: a start is nobody's greed. */
  look(): void {
    if (this.#serves) this.#confined.look(() => usageOf(this.pid).cpuMs);
  }

  /** Lets it finish its requests (bounded), then ends it. Resolves when it is gone. */
  async drain(): Promise<void> {
    const { machine, limits } = this.#deps;
    if (this.busy && !this.#gone) {
      await new Promise<void>((resolve) => {
        const timer = machine.after(limits.drainTimeoutMs, resolve);
        this.#whenQuiet = () => {
          timer.cancel();
          resolve();
        };
        void this.exited.then(() => this.#whenQuiet?.());
      });
    }
    await this.end();
  }

  /** Asks it to exit; kills it when it does not within `mostMs`. Resolves when it is gone. */
  async end(mostMs = this.#deps.limits.endTimeoutMs): Promise<void> {
    const { machine } = this.#deps;
    this.blame("ended by the kernel");
    if (!this.#link.closed) this.#link.bye();
    const late = machine.after(mostMs, () => this.kill("did not end when asked"));
    await this.exited;
    late.cancel();
  }

  /** SIGKILL, now: the sandbox and everything in it. */
  kill(reason: string): void {
    this.blame(reason);
    if (!this.#gone) this.#confined.kill();
  }

  #ended(): string {
    this.#gone = true;
    this.#link.close("the app has gone");
    this.#socket?.end();
    const { exitCode, signalCode } = this.#child;
    const how = signalCode === null ? `exited with code ${exitCode}` : `ended by ${signalCode}`;
    const reason = this.#confined.ended() ?? this.#blame ?? how;
    this.#hello.reject(new Error(reason));
    return reason;
  }

  async #readOutput(): Promise<void> {
    const { stdout, stderr } = this.#child;
    const { machine } = this.#deps;
    const each = (level: LogLevel, text: string) => {
      this.#tail.push({ text, atMs: machine.monotonicMs() });
      if (this.#tail.length > tailLinesMax) this.#tail.shift();
      const { app, release } = this.program;
      this.#deps.log({ app, release, level, text: ownLine(text) });
    };
    const streams = [
      readLines(paced(machine, stdout as ReadableStream<Uint8Array>), "info", each),
      readLines(paced(machine, stderr as ReadableStream<Uint8Array>), "error", each),
    ];
    await Promise.allSettled(streams);
  }
}
