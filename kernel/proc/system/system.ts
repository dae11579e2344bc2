/**
 * The operating system below fazt: written to the other slot, armed, and judged when it has started.
 * `settle.ts`, `gate.ts` and `reason.ts` decide; this performs.
 *
 * Invariants
 * 1. The boot loader is told last, when the other slot was read back from the disk and matched.
 * 2. A trial that is not found well in time is given up by the machine itself: by this program, by
 *    systemd's clock when it hangs, by the watchdog when systemd does, by the boot loader's count.
 * 3. Every attempt ends with an outcome, and one that is not committed with a reason.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Release } from "../upgrade/mod.ts";
import { type Attempt, at, blockedVersions, type Look, over, type Phase } from "./attempt.ts";
import { readBootState, setBootState } from "./boot-partition.ts";
import { armed, type BootState, ended, otherSlot, type Slot } from "./boot-state.ts";
import { gateBegun, gateStep, worse } from "./gate.ts";
import type { SystemHost } from "./host.ts";
import { answerMs, gateMsMax, lookEveryMs, steadyMs, triesMax } from "./limits.ts";
import { whyFailed, whyGivenUp, whyReverted, whyTrouble } from "./reason.ts";
import { dropFetched, fetchSystem, findSystem, mustHaveSystem, type Wish } from "./release.ts";
import { settle } from "./settle.ts";
import {
  emptySlot,
  mustHaveMarker,
  readMarker,
  type SystemRelease,
  verifySlot,
  writeBoot,
  writeRoot,
} from "./slot.ts";

/** How a machine is looked at; made of the kernel by `boot.ts`. */
export interface Looker {
  /** Apps, network and units; `apps` are those to ask, else those that may be asked. */
  look(apps?: readonly string[]): Promise<Omit<Look, "database">>;
  /** What is wrong with the database. */
  database(): Promise<string[]>;
}

/** A slot as its owner sees it. */
export interface SlotStatus {
  readonly slot: Slot;
  /** Null: empty, or not wholly written. */
  readonly version: string | null;
  readonly running: boolean;
  /** Whether it has proved itself: the one that starts after a power cut. */
  readonly good: boolean;
  readonly trial: boolean;
}

/** A release that was found to suit, and how it is brought here. */
export interface Bringing {
  readonly version: string;
  bring(): Promise<SystemRelease>;
}

export interface System {
  /** Whether the operating system is ours: on the appliance. */
  present(): boolean;
  /** The version of the running system. */
  version(): string;
  /** Both slots. EIO. */
  slots(): Promise<SlotStatus[]>;
  /** What was tried, the oldest first. */
  attempts(): Attempt[];
  /** Versions that came back, each with why. */
  blocked(): Record<string, string>;
  /**
   * Writes a verified release to the other slot and arms it; the next start tries it. EBUSY (an
   * attempt is under way), EFBIG, ENOSPC, EBADMSG, EIO.
   */
  install(release: Bringing, tell?: (phase: Phase) => void): Promise<Attempt>;
  /**
   * Finds a signed release and begins to install it; the machine starts again when that is done.
   * Answers once the release was found to suit: see `findSystem`.
   */
  upgrade(wish: Wish): Promise<Attempt>;
  /** The same with a release that was found, verified and found to suit. EBUSY, ENOSYS, EBADMSG. */
  upgradeTo(release: Release): Promise<Attempt>;
  /**
   * Begins to go back to the other slot as it is: it is armed once it was read and found whole, and
   * the machine starts again. EBUSY, ENOENT (the slot is empty), EIO.
   */
  rollback(): Promise<Attempt>;
  /**
   * Starts the machine again in a moment, for what was armed: whoever asked is answered before. When
   * it does not start again, nothing is on trial any more and the history says why.
   */
  restart(): void;
  /** Compares a trial with before until it is well or late; answers what was decided, in words. */
  judge(): Promise<string | null>;
}

/** What the boot means for what was tried, as words for the console; null: nothing to say. */
export type Told = { readonly trial: boolean; readonly line: string | null };

/** Writes down what an attempt has come to, and answers it. */
function noting({ machine, host }: { machine: Machine; host: SystemHost }) {
  return (attempt: Attempt, phase: Phase): Attempt => {
    const next = at(attempt, phase, machine.now());
    host.attempts.put(next);
    return next;
  };
}

/**
 * Before the kernel boots: is this a trial, has one just come back? Nothing is asked of the boot
 * loader's state unless something is under way. Never fails: a machine whose state cannot be read
 * still starts.
 */
export async function settleBoot(machine: Machine, host: SystemHost): Promise<Told> {
  const now = host.now();
  const attempt = host.attempts.open();
  if (attempt === null && !now.trial) return { trial: false, line: null };
  const state = await host.boot.read(readBootState);
  const settled = settle(attempt, state, now);
  const disarm = (good?: Slot) => host.boot.write((dir) => setBootState(dir, ended(good)));
  switch (settled.kind) {
    case "nothing":
      return { trial: false, line: null };
    case "disarm":
      await disarm();
      return { trial: false, line: "a trial that nobody knows of was ended" };
    case "trial":
      noting({ machine, host })(settled.attempt, "kernel");
      return { trial: true, line: `${settled.attempt.version} is on trial` };
    case "committed":
      host.attempts.put(over(settled.attempt, machine.now(), { outcome: "committed" }));
      return { trial: false, line: null };
    case "failed": {
      const reason = whyFailed(settled.attempt);
      host.attempts.put(over(settled.attempt, machine.now(), { outcome: "failed", reason }));
      if (state.try !== null) await disarm();
      return { trial: false, line: reason };
    }
    case "reverted": {
      const remains = await host.remains(settled.attempt.startedAt);
      const reason = whyReverted(settled.attempt, settled.starts, remains);
      const end = { outcome: "reverted", reason, lastLines: remains.lastLines } as const;
      host.attempts.put(over(settled.attempt, machine.now(), end));
      if (state.try !== null) await disarm();
      return { trial: false, line: reason };
    }
  }
}

/** Notes how far the start of a trial has come. */
export function notePhase(machine: Machine, host: SystemHost, phase: Phase): void {
  const attempt = host.attempts.open();
  if (attempt !== null) noting({ machine, host })(attempt, phase);
}

/** Gives a trial up, because its kernel could not reach a target, and starts the machine again. */
export async function giveUp(
  machine: Machine,
  host: SystemHost,
  trouble: { readonly target: string; readonly message: string },
): Promise<void> {
  const attempt = host.attempts.open();
  if (attempt === null) return;
  const reason = whyTrouble(attempt, trouble.target, trouble.message);
  await revert(machine, host, { attempt, reason });
}

async function revert(
  machine: Machine,
  host: SystemHost,
  { attempt, reason }: { readonly attempt: Attempt; readonly reason: string },
): Promise<void> {
  host.attempts.put(over(attempt, machine.now(), { outcome: "reverted", reason }));
  await host.boot.write((dir) => setBootState(dir, ended()));
  await host.restart();
}

export interface SystemOptions {
  readonly machine: Machine;
  /** Null where the operating system is somebody else's. */
  readonly host: SystemHost | null;
  readonly looker: Looker;
}

/** What is tried. */
type Tried = Pick<Attempt, "kind" | "version">;

/** What is to be written, and who hears of it. */
interface Writing {
  readonly begun: Attempt;
  readonly bringing: Bringing;
  readonly tell: (phase: Phase) => void;
}

class Slots implements System {
  readonly #machine: Machine;
  readonly #host: SystemHost | null;
  readonly #looker: Looker;
  #busy = false;

  constructor({ machine, host, looker }: SystemOptions) {
    this.#machine = machine;
    this.#host = host;
    this.#looker = looker;
  }

  #owned(action: string): SystemHost {
    if (this.#host !== null) return this.#host;
    throw new SysError("ENOSYS", `cannot ${action}: this machine is no appliance`, {
      hint: "its own system is upgraded by its own means",
    });
  }

  present(): boolean {
    return this.#host !== null;
  }

  version(): string {
    return this.#owned("tell the system's version").version();
  }

  attempts(): Attempt[] {
    return this.#host?.attempts.all() ?? [];
  }

  blocked(): Record<string, string> {
    return blockedVersions(this.attempts());
  }

  async slots(): Promise<SlotStatus[]> {
    const host = this.#owned("look at the slots");
    const { running } = host.now();
    return await host.boot.read((dir) => {
      const state = readBootState(dir);
      return (["a", "b"] as const).map((slot) => ({
        slot,
        version: readMarker(dir, slot)?.version ?? null,
        running: slot === running,
        good: slot === state.good,
        trial: slot === state.try,
      }));
    });
  }

  install(bringing: Bringing, tell: (phase: Phase) => void = () => {}): Promise<Attempt> {
    return this.#alone(async (host) => {
      const begun = await this.#begin(host, { kind: "upgrade", version: bringing.version });
      return await this.#write(host, { begun, bringing, tell });
    });
  }

  async upgrade(wish: Wish): Promise<Attempt> {
    const host = this.#free();
    const release = await findSystem(wish, {
      machine: this.#machine,
      version: host.version(),
      blocked: this.blocked(),
      keys: host.releaseKeys(),
    });
    return await this.upgradeTo(release);
  }

  upgradeTo(release: Release): Promise<Attempt> {
    return this.#begun(async (host, begin) => {
      mustHaveSystem(release);
      const to = release.manifest.version;
      const begun = await begin({ kind: "upgrade", version: to });
      const bring = () => fetchSystem(release, host.fetchDir, this.#machine);
      await this.#write(host, { begun, bringing: { version: to, bring }, tell: () => {} });
    });
  }

  /** Brings a release, writes it to the other slot and arms that. */
  #write(host: SystemHost, { begun, bringing, tell }: Writing): Promise<Attempt> {
    const { slot } = begun;
    const note = this.#teller(host, tell);
    return this.#orFail(host, begun, async () => {
      let attempt = note(begun, "fetch");
      try {
        const release = await bringing.bring();
        attempt = note(attempt, "canary");
        await canary(host, begun.id);
        attempt = note(attempt, "erase");
        await host.boot.write((dir) => emptySlot(dir, slot));
        attempt = note(attempt, "root");
        await writeRoot(release.root, host.rootOf(slot));
        attempt = note(attempt, "boot");
        await host.boot.write((dir) => writeBoot(dir, slot, release));
        attempt = note(attempt, "verify");
        // Attached anew, so that the boot partition's files come from the disk as well.
        await host.boot.read((dir) => verifySlot(dir, slot, host.rootOf(slot).device));
        return await this.#arm(host, attempt, note);
      } finally {
        dropFetched(host.fetchDir);
      }
    });
  }

  rollback(): Promise<Attempt> {
    return this.#begun(async (host, begin) => {
      const slot = otherSlot(this.#running(host));
      const { version } = await host.boot.read((dir) => mustHaveMarker(dir, slot));
      const begun = await begin({ kind: "rollback", version });
      const note = this.#teller(host, () => {});
      await this.#orFail(host, begun, async () => {
        const verifying = note(begun, "verify");
        const { device } = host.rootOf(slot);
        await host.boot.read((dir) => verifySlot(dir, slot, device));
        const attempt = note(verifying, "canary");
        await canary(host, begun.id);
        return await this.#arm(host, attempt, note);
      });
    });
  }

  /**
   * Answers once the work has begun its attempt; the machine starts again when the work is done. What
   * goes wrong after the beginning is in the history.
   */
  async #begun(
    work: (host: SystemHost, begin: (what: Tried) => Promise<Attempt>) => Promise<void>,
  ): Promise<Attempt> {
    const begun = Promise.withResolvers<Attempt>();
    void this.#alone(async (host) => {
      await work(host, async (what) => {
        const attempt = await this.#begin(host, what);
        begun.resolve(attempt);
        return attempt;
      });
      this.restart();
    }).catch(begun.reject);
    return await begun.promise;
  }

  restart(): void {
    const host = this.#owned("restart the machine");
    const attempt = host.attempts.open();
    if (attempt !== null) noting({ machine: this.#machine, host })(attempt, "restart");
    this.#machine.after(answerMs, () => void this.#restartNow(host));
  }

  async #restartNow(host: SystemHost): Promise<void> {
    try {
      await host.restart();
    } catch (error) {
      const attempt = host.attempts.open();
      if (attempt === null) return;
      const reason = error instanceof SysError ? error.message : "internal error";
      host.attempts.put(over(attempt, this.#machine.now(), { outcome: "failed", reason }));
      // Should this fail as well, the next start ends a trial that nobody knows of.
      await host.boot.write((dir) => setBootState(dir, ended())).catch(() => undefined);
    }
  }

  async judge(): Promise<string | null> {
    const host = this.#owned("judge a trial");
    const machine = this.#machine;
    const begun = host.attempts.open();
    if (begun === null) return null;
    const attempt = noting({ machine, host })(begun, "gate");
    const before = attempt.before ?? { apps: [], network: [], failedUnits: [], database: [] };
    const untilMs = machine.monotonicMs() + gateMsMax;
    const database = await this.#looker.database();
    for (let state = gateBegun; ; ) {
      const look = { ...(await this.#looker.look(before.apps)), database };
      const problems = worse(before, look);
      if (host.now().running !== attempt.slot) problems.push("the other slot is mounted");
      const seen = { atMs: machine.monotonicMs(), problems };
      const step = gateStep(state, seen, { untilMs, steadyMs });
      if (step.verdict === "commit") return await this.#commit(host, attempt);
      if (step.verdict === "give up") {
        const reason = whyGivenUp(attempt, step.state.problems);
        await revert(machine, host, { attempt, reason });
        return reason;
      }
      state = step.state;
      await new Promise<void>((resolve) => machine.after(lookEveryMs, resolve));
    }
  }

  async #commit(host: SystemHost, attempt: Attempt): Promise<string> {
    await host.boot.write((dir) => setBootState(dir, ended(attempt.slot)));
    host.attempts.put(over(attempt, this.#machine.now(), { outcome: "committed" }));
    await host.trialOver();
    return `${attempt.version} has proved itself and stays`;
  }

  #running(host: SystemHost): Slot {
    const { running } = host.now();
    if (running !== null) return running;
    throw new SysError("EIO", "cannot tell which slot runs: the root is in neither", {
      hint: "start the machine from its own disk",
    });
  }

  /** One at a time, and none while another waits for its restart. */
  async #alone<T>(work: (host: SystemHost) => Promise<T>): Promise<T> {
    const host = this.#free();
    this.#busy = true;
    try {
      return await work(host);
    } finally {
      this.#busy = false;
    }
  }

  /** EBUSY, ENOSYS. */
  #free(): SystemHost {
    const host = this.#owned("upgrade the system");
    if (this.#busy || host.attempts.open() !== null) {
      throw new SysError("EBUSY", "cannot upgrade the system: another attempt is under way", {
        hint: "fazt proc slots shows it; one that is armed waits for fazt proc reboot",
      });
    }
    return host;
  }

  async #begin(host: SystemHost, { kind, version }: Tried): Promise<Attempt> {
    const machine = this.#machine;
    const [look, database] = [await this.#looker.look(), await this.#looker.database()];
    const attempt: Attempt = {
      id: machine.id("sys"),
      kind,
      version,
      from: host.version(),
      slot: otherSlot(this.#running(host)),
      bootId: host.now().bootId,
      startedAt: machine.now(),
      phase: "check",
      crumbs: [],
      tries: triesMax,
      before: { ...look, database },
      endedAt: null,
      outcome: null,
      reason: null,
      lastLines: [],
    };
    host.attempts.put(attempt);
    return attempt;
  }

  #teller(host: SystemHost, tell: (phase: Phase) => void) {
    const note = noting({ machine: this.#machine, host });
    return (attempt: Attempt, phase: Phase): Attempt => {
      tell(phase);
      return note(attempt, phase);
    };
  }

  /** An error ends the attempt, with the error's own words as the reason. */
  async #orFail(host: SystemHost, begun: Attempt, work: () => Promise<Attempt>): Promise<Attempt> {
    try {
      return await work();
    } catch (error) {
      const latest = host.attempts.open() ?? begun;
      const reason = error instanceof SysError ? error.message : "internal error";
      host.attempts.put(over(latest, this.#machine.now(), { outcome: "failed", reason }));
      throw error;
    }
  }

  /** The last write. */
  async #arm(
    host: SystemHost,
    attempt: Attempt,
    note: (attempt: Attempt, phase: Phase) => Attempt,
  ): Promise<Attempt> {
    const arming = note(attempt, "arm");
    await host.boot.write((dir) => setBootState(dir, armed(attempt.slot, attempt.tries)));
    return note(arming, "armed");
  }
}

/** Shows that the boot loader's state can be written and is read back from the disk. EIO. */
async function canary(host: SystemHost, id: string): Promise<void> {
  const word = id.slice(-12);
  await host.boot.write((dir) => setBootState(dir, { canary: word }));
  const state: BootState = await host.boot.read(readBootState);
  if (state.canary === word) return;
  throw new SysError("EIO", "cannot trust the boot partition: it does not keep what is written", {
    hint: "without it nothing could bring this machine back: the upgrade was not begun",
  });
}

/** The operating system of this machine. */
export function createSystem(options: SystemOptions): System {
  return new Slots(options);
}
