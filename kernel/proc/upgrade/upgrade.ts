/**
 * Upgrading this machine's program: finds a release, decides whether it suits, brings it into the
 * idle slot, and orders whoever holds the process to replace the kernel by it.
 *
 * Rules: one attempt at a time; each goes on by itself once it has begun, whoever asked; what became
 * of it is in the history, for the kernel that asked may be gone by then.
 */
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { SysError } from "../../errno.ts";
import type { Machine, Timer } from "../../machine.ts";
import { fetchArtifact, hashOf, unpackedOf } from "./artifact.ts";
import { tellAgainMs, trialMs as usualTrialMs } from "./limits.ts";
import {
  type Arch,
  type Artifact,
  type Channel,
  type Consent,
  type Here,
  refusalOf,
} from "./manifest.ts";
import type { PublicKey } from "./signature.ts";
import {
  aim,
  begin,
  empty,
  enter,
  fail,
  fill,
  idleSlot,
  type Place,
  type Slot,
  type SlotName,
  type Slots,
  versionIn,
} from "./slots.ts";
import { openSource, type Release, readRelease } from "./source.ts";
import { programPath, type SlotStore, sentDir, sentManifest } from "./store.ts";

/** To be replaced by the program in a place. */
export interface Order {
  readonly place: Place;
  readonly version: string;
  /** How long it must be well before it is committed, ms. */
  readonly trialMs: number;
}

/** What the owner asks for. */
export interface Wish {
  /** Where releases are; null: where this machine looks for them; `upload`: what was sent here. */
  readonly from: string | null;
  readonly consent: Consent;
  readonly trialMs?: number | undefined;
}

export interface Upgrade {
  /** The state of the slots; `running` is the version of this very program. */
  slots(): Slots & { readonly running: string; readonly place: Place };
  /** Finds the newest release, verified; null: where this machine looks for them. */
  find(from: string | null): Promise<Release>;
  /** Begins an upgrade; answers the id of the attempt once the release was found to suit. */
  begin(wish: Wish): Promise<{ readonly id: string; readonly to: string }>;
  /** Goes back to the program before. ENOENT. */
  rollback(trialMs?: number): { readonly id: string; readonly to: string };
  /** How much of what is fetched is here, bytes; null: nothing is. */
  progress(): { readonly doneBytes: number; readonly allBytes: number } | null;
  close(): void;
}

export interface UpgradeOptions {
  readonly machine: Machine;
  readonly dataDir: string;
  readonly version: string;
  readonly store: SlotStore;
  /** The place of this very program. */
  readonly place: Place;
  /** Whose releases are taken; asked each time. */
  readonly keys: () => readonly PublicKey[];
  /** Where this machine looks for releases, and which. */
  readonly settings: () => { readonly from: string | null; readonly channel: Channel };
  /** Replaces the kernel; null: nothing holds this process that could. */
  readonly order: ((order: Order) => void) | null;
}

/** The word for a release that was sent here. */
const sentHere = "upload";

export function createUpgrade(options: UpgradeOptions): Upgrade {
  return new Upgrades(options);
}

class Upgrades implements Upgrade {
  readonly #options: UpgradeOptions;
  readonly #gone = new AbortController();
  #busy = false;
  /** What became of an attempt, while that cannot be written down. */
  #telling: Timer | null = null;
  #progress: { doneBytes: number; allBytes: number } | null = null;

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  slots() {
    const { store, version, place } = this.#options;
    return { ...store.read(), running: version, place };
  }

  progress() {
    return this.#progress;
  }

  close(): void {
    this.#telling?.cancel();
    this.#gone.abort();
  }

  #here(): Here {
    const { machine, version, settings, store } = this.#options;
    const arch = process.arch as Arch;
    const { blocked } = store.read();
    return { version, arch, channel: settings().channel, now: machine.now(), blocked };
  }

  async find(from: string | null): Promise<Release> {
    const { settings, keys, machine, dataDir } = this.#options;
    const where = this.#where(from);
    const { channel } = settings();
    const wanted = { channel, arch: process.arch as Arch };
    const at = where === sentHere ? sentManifest(dataDir) : where;
    return await readRelease(openSource(at, wanted, machine), keys());
  }

  /** Where releases are, as asked for or as chosen for good. ENOENT. */
  #where(from: string | null): string {
    const where = from ?? this.#options.settings().from;
    if (where !== null) return where;
    throw new SysError("ENOENT", "cannot look for a release: no source is set", {
      hint: "name a URL or a directory with --from, or for good: fazt proc channel --from URL",
    });
  }

  #mustBeAble(): (order: Order) => void {
    const { order } = this.#options;
    if (order === null) {
      throw new SysError("ENOSYS", "cannot upgrade: this program is no single executable", {
        hint: "build it and start it: npm run build, dist/fazt proc start",
      });
    }
    if (this.#busy || this.#options.store.read().attempt !== null) {
      throw new SysError("EBUSY", "cannot upgrade: an upgrade is under way", {
        hint: "see how far it is: fazt proc slots",
        retryAfterMs: 5_000,
      });
    }
    return order;
  }

  async begin(wish: Wish) {
    const order = this.#mustBeAble();
    // Nothing is tried, and nothing written down, before it is known where.
    this.#where(wish.from);
    this.#busy = true;
    const { machine, store } = this.#options;
    const id = machine.id("up");
    try {
      store.change((state) => begin(state, { id, kind: "binary", to: "?", at: machine.now() }));
      const release = await this.find(wish.from);
      const { manifest } = release;
      store.change((state) => aim(state, manifest.version));
      const refusal = refusalOf(manifest, this.#here(), wish.consent);
      if (refusal !== null) throw refusal;
      const binary = manifest.artifacts.find(({ kind }) => kind === "binary");
      if (binary === undefined) {
        throw new SysError("EBADMSG", `cannot upgrade to "${manifest.version}": no program in it`);
      }
      const trialMs = wish.trialMs ?? usualTrialMs;
      void this.#install(release, binary, (place) =>
        order({ place, version: manifest.version, trialMs }),
      );
      return { id, to: manifest.version };
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  /** Brings the program into the idle slot; then it is the conductor's turn. */
  async #install(
    { source, manifest }: Release,
    binary: Artifact,
    then: (place: SlotName) => void,
  ): Promise<void> {
    const { machine, store, dataDir } = this.#options;
    const slot = idleSlot(store.read());
    const into = programPath(dataDir, slot);
    try {
      store.change((state) => enter(empty(state, slot), "downloading", machine.now()));
      rmSync(into, { force: true });
      mkdirSync(dirname(into), { recursive: true, mode: 0o700 });
      this.#progress = { doneBytes: 0, allBytes: binary.sizeBytes };
      const progress = (doneBytes: number) => {
        this.#progress = { doneBytes, allBytes: binary.sizeBytes };
      };
      const { signal } = this.#gone;
      // Apps have it bound into their sandbox, and users of their own.
      await fetchArtifact(source, binary, { machine, signal, into, mode: 0o755, progress });
      store.change((state) => enter(state, "verifying", machine.now()));
      const { sha256, sizeBytes } = unpackedOf(binary);
      if ((await hashOf(into)) !== sha256) {
        throw new SysError("EBADMSG", "cannot trust the disk: the program is not what was written");
      }
      const { version } = manifest;
      const filled: Slot = { version, sha256, sizeBytes, installedAt: machine.now() };
      store.change((state) => fill(state, slot, filled));
      rmSync(sentDir(dataDir), { recursive: true, force: true });
      then(slot);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#progress = null;
      this.#busy = false;
    }
  }

  /** A file that did not come whole is not the version's fault. */
  #fail(error: unknown): void {
    const { machine, store } = this.#options;
    const reason = error instanceof Error ? error.message : String(error);
    this.#busy = false;
    try {
      store.change((state) => fail(state, "failed", { at: machine.now(), reason, block: false }));
    } catch {
      // On a full disk it is told as soon as there is room; a start before that tells it too.
      this.#telling = machine.after(tellAgainMs, () => this.#fail(error));
    }
  }

  rollback(trialMs = usualTrialMs) {
    const order = this.#mustBeAble();
    const { machine, store } = this.#options;
    const state = store.read();
    const place = state.previous;
    const to = place === null ? null : versionIn(state, place);
    if (place === null || to === null) {
      throw new SysError("ENOENT", "cannot go back: no program is kept from before", {
        hint: "an older release is installed with: fazt proc upgrade --from URL --downgrade",
      });
    }
    const id = machine.id("up");
    store.change((known) => begin(known, { id, kind: "rollback", to, at: machine.now() }));
    order({ place, version: to, trialMs });
    return { id, to };
  }
}
