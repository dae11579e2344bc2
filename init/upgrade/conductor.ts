/**
 * Replaces the kernel that answers by another one, and takes it back when it is not well.
 *
 *     checked → started beside → the old one yields → the new one leads → the old one leaves
 *     → trial → commit, or: the same again, with the program that was before
 *
 * Rules: the old kernel answers until the new one listens, and a kernel that yielded never leads
 * again: going back is a fresh kernel of the old program, so that nobody answers from stale memory.
 * Each step is in the slots' history before it is taken. Whoever conducts holds the process that
 * was started, and ends with its last kernel.
 */
import { type Errno, SysError } from "../../kernel/errno.ts";
import {
  limits,
  type Order,
  programPath,
  type SlotStore,
  slots,
  trial,
} from "../../kernel/proc/upgrade/mod.ts";
import { launcher } from "../launcher.ts";
import type { StartOptions } from "../options.ts";
import type { Ready, Running } from "../start.ts";
import { startAgain } from "../start.ts";
import { basePath, isExecutable } from "./begin.ts";
import { checkProgram } from "./check.ts";
import { endedText, type Incumbent, ownKernel, Successor, within } from "./incumbent.ts";
import { healthOf, residentBytes, type Seen, visit } from "./seen.ts";
import type { Awake } from "./warm.ts";

export interface ConductorOptions {
  readonly store: SlotStore;
  readonly appliance: boolean;
  /** Says something to whoever watches the terminal. */
  say(line: string): void;
  setupCode(code: string): void;
  /** Milliseconds a kernel has to let go of its work; the usual when absent. */
  readonly yieldMs?: number;
}

/** How the kernel that answers was started, for the ones that follow. */
interface Stage {
  readonly options: StartOptions;
}

/** Milliseconds a kernel has to begin at all, to boot, and to let go of its work. */
const awakeMsMax = 10_000;
const readyMsMax = 20_000;
const yieldMsMax = 25_000;
/** The same of one that is not well. */
const yieldSickMsMax = 1_500;
/** Times that going back is tried, before all of it is left to whoever started this process. */
const takeBackTries = 3;
/** Looks that must be in vain before a kernel counts as hanging. */
const looksMax = 3;
/** Milliseconds in which the old one is looked at, for the new one to be compared with. */
const compareMs = 800;

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What the kernel that runs refuses or fails at: no fault of the one that was to take its place. */
const ofTheOld: ReadonlySet<Errno> = new Set(["EBUSY", "ESRCH", "ETIMEDOUT"]);
const codeOf = (error: unknown): Errno | null => (error instanceof SysError ? error.code : null);

/** The last part of `cannot do it: because of this`. */
const becauseOf = (error: unknown): string =>
  textOf(error).replace(/^cannot use the new kernel: /, "");

export class Conductor {
  readonly #options: ConductorOptions;
  #stage: Stage | null = null;
  #current: Incumbent | null = null;
  #place: slots.Place = "base";
  #busy = false;
  #ending = false;
  /** Resolves when this process's own kernel has given up its place. */
  readonly #over = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<number>();
  /** When the current program was committed, monotonic ms; null: it was not, or has rested. */
  #committedMs: number | null = null;
  #leaving: Promise<void> = Promise.resolve();
  /** Processes of kernels that have left their place and finish what they have. */
  readonly #leavers = new Set<number>();
  /** The replacement that is under way, or the last one; never rejects. */
  #work: Promise<void> = Promise.resolve();
  /** What was asked for while another one was under way, to be begun after it. */
  #next: Order | null = null;
  /** Apps that had a process when this was last looked at. */
  #awake: readonly Awake[] = [];

  constructor(options: ConductorOptions) {
    this.#options = options;
  }

  /** This process's own kernel answers; `place` is where this program is. */
  attach(running: Running, options: StartOptions, place: slots.Place): void {
    this.#current = ownKernel(running);
    this.#stage = { options: settled(options, running.ready) };
    this.#place = place;
    if (place !== "base") this.#restLater();
  }

  /** Resolves when a kernel in another process has the place of this process's own. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Lives for the kernels in other processes; answers the exit code of the last. */
  async live(signal: Promise<unknown>): Promise<number> {
    void signal.then(async () => {
      this.#ending = true;
      this.#ended.resolve((await this.#current?.end()) ?? 0);
    });
    const code = await this.#ended.promise;
    await this.#leaving;
    return code;
  }

  /**
   * Whether the kernel answers: this process's own does when this is answered at all, and one that
   * is being replaced is looked at by whoever replaces it.
   */
  async alive(): Promise<boolean> {
    const kernel = this.#current;
    if (kernel === null || kernel.pid === process.pid) return true;
    for (let tries = 0; tries < looksMax && !this.#busy; tries++) {
      if ((await kernel.look()) !== null) return true;
    }
    return this.#busy;
  }

  /**
   * What a kernel asks for; goes on by itself. A kernel that has just taken over may ask before what
   * brought it there is over: there is one attempt at a time, so that one place is enough to wait.
   */
  order(order: Order): void {
    if (this.#busy) this.#next = order;
    else this.#begin(() => this.#replace(order));
  }

  #begin(work: () => Promise<void>): void {
    this.#busy = true;
    this.#work = work()
      .catch((error: unknown) => this.#options.say(`the upgrade went wrong: ${textOf(error)}`))
      .finally(() => {
        this.#busy = false;
        const next = this.#next;
        this.#next = null;
        // Without an attempt that it belongs to, it has been given up meanwhile.
        if (next !== null && this.#options.store.read().attempt !== null) this.order(next);
      });
  }

  /** What became of it. That it cannot be written down (a full disk) keeps nobody from going back. */
  #note(by: (state: slots.Slots) => slots.Slots): slots.Slots {
    const { store, say } = this.#options;
    try {
      return store.change(by);
    } catch (error) {
      say(`cannot write down what became of the upgrade: ${textOf(error)}`);
      return by(store.read());
    }
  }

  #enter(phase: slots.Phase): void {
    this.#options.store.change((state) => slots.enter(state, phase, Date.now()));
  }

  #command(place: slots.Place): string[] {
    if (place !== "base") return [programPath(this.#dataDir(), place)];
    return isExecutable() ? [basePath()] : launcher().command.slice(0, -1);
  }

  #dataDir(): string {
    return this.#stage?.options.dataDir ?? "";
  }

  #spawn(place: slots.Place): Successor {
    const env = { ...process.env, FAZT_SLOT: place, FAZT_BASE: basePath() };
    const { setupCode } = this.#options;
    const order = (wish: Order) => this.order(wish);
    return new Successor(this.#command(place), { env, order, setupCode });
  }

  async #replace(order: Order): Promise<void> {
    const before = this.#place;
    const old = this.#current;
    if (old === null) return;
    let lines: readonly string[] = [];
    let led = false;
    let next: Successor | null = null;
    try {
      this.#enter("proving");
      await checkProgram(this.#command(order.place), { dataDir: this.#dataDir(), order });
      const health = await this.#healthBefore(old);
      next = this.#spawn(order.place);
      await inTime(next.awake(), awakeMsMax, "it did not begin");
      this.#enter("handing over");
      led = true;
      await this.#handOver(old, next);
      this.#place = order.place;
      this.#enter("trial");
      await this.#trial(next, health.before, { ...order, doors: health.seen });
      this.#commit(order.place);
    } catch (error) {
      lines = next?.lastLines ?? [];
      const code = codeOf(error);
      // One that is busy has given nothing up, and goes on.
      led &&= code !== "EBUSY";
      const block = code === null || !ofTheOld.has(code);
      await this.#giveUp({ reason: becauseOf(error), lines, before, led, next, block });
    }
  }

  /** The old one yields, the new one leads, the old one leaves. */
  async #handOver(old: Incumbent, next: Successor, withinMs?: number): Promise<void> {
    const { options } = this.#mustStage();
    const { appliance, yieldMs = yieldMsMax } = this.#options;
    // One that does not let go of the data directory is ended, and that is waited for.
    if (!(await old.yieldWork(withinMs ?? yieldMs))) await old.kill();
    const awake = this.#awake;
    const beside = [...this.#leavers, old.pid];
    const lead = next.lead({ options, beside, appliance, awake });
    await inTime(lead, readyMsMax, "it did not answer");
    this.#current = next;
    this.#watch(next);
    this.#over.resolve();
    // What did not end in time is told in the log; the next one takes up the work all the same.
    this.#leavers.add(old.pid);
    const left = old.leave().finally(() => this.#leavers.delete(old.pid));
    this.#leaving = Promise.allSettled([this.#leaving, left]).then(() => {
      next.alone();
      // What a kernel of this very process held is of no use to whoever conducts.
      Bun.gc(true);
    });
  }

  #mustStage(): Stage {
    if (this.#stage === null) throw new Error("nobody answers yet");
    return this.#stage;
  }

  /** How the old one is, compared over a moment, and who is asked afterwards. */
  async #healthBefore(old: Incumbent): Promise<{ before: trial.Health; seen: Seen }> {
    const seen = await old.look();
    if (seen === null) throw new SysError("ESRCH", "the kernel that runs does not answer");
    const [visited] = await Promise.all([visit(old.ready.http, seen), pause(compareMs)]);
    const then = (await old.look()) ?? seen;
    this.#awake = then.awake ?? [];
    const rssBytes = residentBytes(old.pid);
    return { before: healthOf(seen, then, { ...visited, rssBytes }), seen };
  }

  /** Returns when the new one has proven itself; throws why it has not. */
  async #trial(
    next: Successor,
    before: trial.Health,
    { trialMs, doors }: { readonly trialMs: number; readonly doors: Seen },
  ): Promise<void> {
    let state = trial.beginTrial(before, performance.now());
    let last: Seen | null = null;
    let gone: string | null = null;
    void next.ended.then((ended) => {
      gone = endedText(ended);
    });
    for (;;) {
      const began = performance.now();
      const [visited, seen] = await Promise.all([visit(next.ready.http, doors), next.look()]);
      const rssBytes = residentBytes(next.pid);
      const health =
        seen === null || last === null ? null : healthOf(last, seen, { ...visited, rssBytes });
      // The first look is what the later ones are compared with, and a sign of life.
      if (seen !== null && last === null) state = { ...state, lastHeardMs: performance.now() };
      last = seen ?? last;
      const now = performance.now();
      state = trial.look(state, health, now);
      if (gone !== null) throw new Error(gone);
      if (this.#ending) throw new Error("the machine was stopped");
      const verdict = trial.verdictOf(state, now, trialMs);
      if (verdict.kind === "commit") return;
      if (verdict.kind === "revert") throw new Error(verdict.reason);
      await Promise.race([pause(Math.max(0, limits.lookMs - (now - began))), next.ended]);
    }
  }

  #commit(place: slots.Place): void {
    const { store, say } = this.#options;
    const state = store.change((known) => slots.commit(known, place, Date.now()));
    this.#committedMs = performance.now();
    this.#restLater();
    say(`fazt ${slots.versionIn(state, place)} runs now`);
  }

  #restLater(): void {
    const timer = setTimeout(() => {
      this.#committedMs = null;
      this.#options.store.change(slots.rest);
    }, limits.restMs);
    timer.unref();
  }

  /** Ends an attempt: nothing was changed yet, or the program that was before takes back. */
  async #giveUp(failed: Failure): Promise<void> {
    const { reason, lines, before, led, next, block } = failed;
    const { say } = this.#options;
    if (this.#ending) return;
    const end = { at: Date.now(), reason, lastLines: lines, block };
    if (!led) {
      await next?.kill();
      this.#note((state) => slots.fail(state, "failed", end));
      return say(`the upgrade failed: ${reason}`);
    }
    this.#note((state) => slots.enter(state, "going back", Date.now()));
    await this.#takeBack(before, next);
    this.#note((state) => slots.fail(state, "reverted", { ...end, at: Date.now() }));
    say(`went back: ${reason}`);
  }

  /** A fresh kernel of the program that was before; when even that fails this process ends. */
  async #takeBack(place: slots.Place, sick: Successor | null): Promise<void> {
    this.#place = place;
    for (let tries = 1; tries <= takeBackTries; tries++) {
      if (await this.#takenBack(place, sick)) return;
    }
    // Whoever watches over this process starts it again, and then the base chooses.
    this.#ended.resolve(startAgain);
    this.#over.resolve();
  }

  async #takenBack(place: slots.Place, sick: Successor | null): Promise<boolean> {
    const fresh = this.#spawn(place);
    try {
      await inTime(fresh.awake(), awakeMsMax, "it did not begin");
      const current = this.#current;
      if (current !== null && current !== sick) {
        // The new one never led: the old one still answers, and yields to its own successor.
        await sick?.kill();
        await this.#handOver(current, fresh);
      } else if (sick !== null && (await within(sick.ended, 0)) === null) {
        await this.#handOver(sick, fresh, yieldSickMsMax);
      } else {
        await this.#leadAlone(fresh);
      }
      return true;
    } catch (error) {
      await fresh.kill();
      // The one that answers has given nothing up: there is nothing to go back from.
      if (codeOf(error) === "EBUSY") return true;
      this.#options.say(`cannot go back: ${textOf(error)}`);
      return false;
    }
  }

  async #leadAlone(fresh: Successor): Promise<void> {
    const { options } = this.#mustStage();
    const { appliance } = this.#options;
    const beside = [...this.#leavers];
    const lead = fresh.lead({ options, beside, appliance, awake: this.#awake });
    await inTime(lead, readyMsMax, "it did not answer");
    this.#current = fresh;
    this.#watch(fresh);
    void this.#leaving.then(() => fresh.alone());
  }

  /** Back from a program that was committed and ended soon after. */
  async #withdraw(next: Successor, reason: string): Promise<void> {
    const end = { at: Date.now(), reason, lastLines: next.lastLines, block: true };
    const state = this.#note((known) =>
      slots.withdraw(slots.cutOff(known, "the kernel", end.at), end),
    );
    await this.#takeBack(state.active, next);
    this.#options.say(`went back: ${reason}`);
  }

  /** A kernel that ends by itself: soon after its commit it is withdrawn, else all of it ends. */
  #watch(next: Successor): void {
    void next.ended.then(async (ended) => {
      // Whoever replaces it may go back by itself; what is left then is looked at here.
      while (this.#busy) await this.#work;
      if (this.#current !== next || this.#ending) return;
      const soon = this.#committedMs !== null && ended.code !== startAgain;
      if (!soon) {
        this.#ended.resolve(ended.code ?? 1);
        return;
      }
      const afterS = Math.round((performance.now() - (this.#committedMs ?? 0)) / 1000);
      this.#committedMs = null;
      const reason = `${endedText(ended)}, ${afterS} s after it was committed`;
      this.#begin(() => this.#withdraw(next, reason));
    });
  }
}

interface Failure {
  readonly reason: string;
  readonly lines: readonly string[];
  readonly before: slots.Place;
  /** Whether the old one was asked to yield. */
  readonly led: boolean;
  readonly next: Successor | null;
  /** Whether it is the new program's fault. */
  readonly block: boolean;
}

async function inTime<T>(work: Promise<T>, ms: number, otherwise: string): Promise<T> {
  const found = await within(
    work.then((value) => ({ value })),
    ms,
  );
  if (found === null) throw new Error(`${otherwise} within ${ms / 1000} s`);
  return found.value;
}

/** The same options for the next kernel: a port that was picked is the one to be had again. */
function settled(options: StartOptions, ready: Ready): StartOptions {
  const picked = (address: string, url: string | null): string => {
    const port = url === null ? "" : new URL(url).port;
    return port === "" ? address : address.replace(/:0$/, `:${port}`);
  };
  const https = options.https === null ? null : picked(options.https, ready.https);
  return { ...options, http: picked(options.http, ready.http), https };
}
