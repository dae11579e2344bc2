/**
 * The one way to upgrade this machine: an order of the owner, or what is due by itself, goes to the
 * program or to the system below it.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import type { System } from "../system/mod.ts";
import {
  type Arch,
  type Manifest,
  openSource,
  type PublicKey,
  refusalOf,
  type Upgrade,
  type Wish,
} from "../upgrade/mod.ts";
import { soonMs, tickMs } from "./limits.ts";
import { dueOf, nextCheckAt } from "./plan.ts";
import { type Course, changeSetting, readSetting, type Setting, zoneNamed } from "./setting.ts";
import { createUploads, type Uploads, type Wanted, wantedOf } from "./upload.ts";
import { allTried, changedLast, type Part, partOf, type Tried } from "./way.ts";

/** A release that was looked at. */
export interface Looked {
  readonly manifest: Manifest;
  readonly part: Part;
  /** The version of that part which runs. */
  readonly running: string;
  readonly refusal: SysError | null;
}

export interface Begun {
  readonly id: string;
  readonly to: string;
  readonly part: Part;
}

export interface Channel {
  setting(): Setting & Course;
  /** Changes what is chosen. EINVAL. */
  set(change: Partial<Setting>): Promise<Setting & Course>;
  /** Looks at a release, and installs nothing; where this machine's are, when null, it is noted. */
  look(from: string | null): Promise<Looked>;
  /** Begins an upgrade, of the system where the release has one and it is ours. */
  begin(wish: Wish): Promise<Begun>;
  /** Goes back on what was changed last. ENOENT, EBUSY, ENOSYS. */
  rollback(trialMs?: number): Promise<Begun>;
  /** What was tried, of both, the newest first. */
  tried(): Tried[];
  /** Takes a manifest that the owner sends; answers which files are wanted. */
  offer(
    text: string,
    signature: string,
    consent: Wish["consent"],
  ): Promise<{ readonly version: string; readonly part: Part; readonly files: Wanted[] }>;
  /** Takes one of them. */
  readonly put: Uploads["put"];
  /** Does what is due. */
  wake(): Promise<void>;
  close(): void;
}

export interface ChannelOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly dataDir: string;
  readonly upgrade: Upgrade;
  readonly system: System;
  readonly keys: () => readonly PublicKey[];
}

export function createChannel(options: ChannelOptions): Channel {
  return new Channels(options);
}

class Channels implements Channel {
  readonly #options: ChannelOptions;
  readonly #uploads: Uploads;
  readonly #part: number;
  readonly #timer: { cancel(): void };
  #busy = false;
  #beginning = false;
  #closed = false;

  constructor(options: ChannelOptions) {
    this.#options = options;
    const { machine } = options;
    this.#uploads = createUploads(options);
    this.#part = machine.chance();
    this.#timer = machine.every(tickMs, () => void this.wake());
  }

  get put() {
    return this.#uploads.put;
  }

  setting() {
    return readSetting({ read: this.#options.storage.read });
  }

  async set(change: Partial<Setting>) {
    const { machine, storage } = this.#options;
    if (change.zone !== undefined) zoneNamed(change.zone);
    const wanted = { channel: "stable", arch: process.arch as Arch } as const;
    if (typeof change.from === "string") openSource(change.from, wanted, machine);
    // Somewhere else, or of another kind: what was found is not there.
    const moved = change.from !== undefined || change.channel !== undefined;
    const soon = Math.round(machine.now() + soonMs * machine.chance());
    const fresh = { found: null, problem: null, checkedAt: null, nextAt: soon };
    return await changeSetting(storage, { ...change, ...(moved && fresh) });
  }

  tried() {
    const { upgrade, system } = this.#options;
    return allTried(upgrade.slots().history, system.attempts());
  }

  /** EBUSY. */
  #mustBeFree(): void {
    const program = this.#options.upgrade.slots().attempt !== null;
    if (
      !program &&
      !this.#beginning &&
      this.tried().every(({ outcome }) => outcome !== "under way")
    )
      return;
    throw new SysError("EBUSY", "cannot upgrade: an upgrade is under way", {
      hint: "see how far it is: fazt proc slots",
      retryAfterMs: 5_000,
    });
  }

  #judged(manifest: Manifest, consent: Wish["consent"]): Looked {
    const { machine, upgrade, system } = this.#options;
    const part = partOf(manifest, system.present());
    const ofSystem = part === "system";
    const running = ofSystem ? system.version() : upgrade.slots().running;
    const blocked = ofSystem ? system.blocked() : upgrade.slots().blocked;
    const { channel } = this.setting();
    const about = { version: running, arch: process.arch as Arch, channel, blocked };
    const refusal = refusalOf(manifest, { ...about, now: machine.now() }, consent);
    return { manifest, part, running, refusal };
  }

  async look(from: string | null): Promise<Looked> {
    const { manifest } = await this.#options.upgrade.find(from);
    const looked = this.#judged(manifest, byItself.consent);
    if (from === null) await this.#note(looked);
    return looked;
  }

  /** What a look found, for the OS shell and for what is done by itself. */
  async #note({ manifest, refusal }: Looked): Promise<void> {
    const { version, notes } = manifest;
    const reason = refusal?.message ?? null;
    // What runs already is nothing new to tell of.
    const same = refusal?.code === "EEXIST";
    const found = same ? null : { version, notes, suits: refusal === null, reason };
    const { machine, storage } = this.#options;
    if (this.#closed) return;
    await changeSetting(storage, { found, problem: null, checkedAt: machine.now() });
  }

  begin(wish: Wish): Promise<Begun> {
    return this.#alone(() => this.#start(wish));
  }

  /** Whoever looks for a release is not in the history yet: nobody else begins meanwhile. */
  async #alone(work: () => Promise<Begun>): Promise<Begun> {
    this.#mustBeFree();
    this.#beginning = true;
    try {
      return await work();
    } finally {
      this.#beginning = false;
    }
  }

  async #start(wish: Wish): Promise<Begun> {
    const { upgrade, system } = this.#options;
    if (!system.present()) return { ...(await upgrade.begin(wish)), part: "program" };
    const release = await upgrade.find(wish.from);
    const { part, refusal } = this.#judged(release.manifest, wish.consent);
    if (part === "program") return { ...(await upgrade.begin(wish)), part };
    if (refusal !== null) throw refusal;
    const { id, version } = await system.upgradeTo(release);
    return { id, to: version, part };
  }

  rollback(trialMs?: number): Promise<Begun> {
    return this.#alone(() => this.#goBack(trialMs));
  }

  async #goBack(trialMs?: number): Promise<Begun> {
    const { upgrade, system } = this.#options;
    if (changedLast(this.tried()) !== "system" || !system.present()) {
      return { ...upgrade.rollback(trialMs), part: "program" };
    }
    const { id, version } = await system.rollback();
    return { id, to: version, part: "system" };
  }

  async offer(text: string, signature: string, consent: Wish["consent"]) {
    this.#mustBeFree();
    const { part, manifest, refusal } = this.#judged(this.#uploads.read(text, signature), consent);
    if (refusal !== null) throw refusal;
    this.#uploads.offer(text, signature);
    const files = wantedOf(manifest, part).map(({ name, sizeBytes }) => ({
      ...{ name, sizeBytes },
      here: this.#uploads.has(name),
    }));
    return { version: manifest.version, part, files };
  }

  async wake(): Promise<void> {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    try {
      const { machine } = this.#options;
      this.#uploads.sweep(this.tried());
      const state = this.setting();
      const part = partRunning(state, this.#options);
      const moment = { now: machine.now(), running: part, part: this.#part };
      const due = dueOf(state, moment);
      if (due === "check") await this.#check();
      if (due === "install") await this.#install();
    } catch (error) {
      this.#log("error", `cannot look after upgrades: ${textOf(error)}`);
    } finally {
      this.#busy = false;
    }
  }

  async #check(): Promise<void> {
    const { machine, storage } = this.#options;
    let problem: string | null = null;
    try {
      await this.look(null);
    } catch (error) {
      problem = textOf(error);
      this.#log("warn", `cannot look for a newer release: ${problem}`);
    }
    const now = machine.now();
    const nextAt = nextCheckAt(now, problem === null, machine.chance());
    if (!this.#closed) await changeSetting(storage, { problem, checkedAt: now, nextAt });
  }

  /** What was found may not suit any more: it was tried meanwhile, say. That is told once. */
  async #install(): Promise<void> {
    const { machine, storage } = this.#options;
    await changeSetting(storage, { begunAt: machine.now() });
    const { manifest, refusal } = await this.look(null);
    if (refusal !== null) {
      this.#log("warn", `nothing is installed by itself: ${refusal.message}`);
      return;
    }
    this.#log(
      "info",
      `the upgrade to ${manifest.version} begins by itself, as its owner asked for`,
    );
    await this.begin(byItself);
  }

  #log(level: "info" | "warn" | "error", text: string): void {
    const about = { app: "kernel", appId: null, releaseId: null };
    this.#options.storage.logs.append({ ...about, level, text: `upgrade: ${text}` });
  }

  close(): void {
    this.#closed = true;
    this.#timer.cancel();
  }
}

/** What nobody was asked for: the newest where this machine looks, and nothing that does not suit. */
const byItself = { from: null, consent: { downgrade: false, blocked: false } } as const;

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What runs of the part that the last look was about: the system where it has that very version. */
function partRunning(
  { found }: Course,
  { upgrade, system }: Pick<ChannelOptions, "upgrade" | "system">,
): string {
  if (system.present() && system.version() === found?.version) return system.version();
  return upgrade.slots().running;
}
