/**
 * The lease on a replica: who may write to it. A writer that lost it stops for good; one that takes
 * it begins new generations, so that two writers never write to the same one, whatever the clocks
 * and delays between them. It is renewed only while something is shipped: idle costs nothing. Who
 * ends in order gives it back.
 */
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import { Lease, leaseKey, parseRecord, recordBytes } from "./format/mod.ts";
import type { ReplicaLimits } from "./limits.ts";
import { claim } from "./replica-position.ts";
import type { ReplicaStore } from "./store/mod.ts";

export interface LeaseOptions {
  readonly machine: Machine;
  readonly store: ReplicaStore;
  readonly limits: Pick<ReplicaLimits, "leaseMs" | "leaseTrustMs">;
  /** This data directory's own name. */
  readonly owner: string;
}

export class LeaseHolder {
  readonly #options: LeaseOptions;
  #epoch: number | null = null;
  #checkedMs = Number.NEGATIVE_INFINITY;
  #lostTo: string | null = null;
  /** Another's lease as it was seen, and since when by the clock that never jumps. */
  #seen = { text: "", sinceMs: 0 };
  #asking: Promise<void> | null = null;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Who took it from us, or null. */
  get lostTo(): string | null {
    return this.#lostTo;
  }

  /** Makes sure that the lease is ours; answers its epoch. EBUSY when it is another's. */
  async ensure(): Promise<number> {
    const { machine, limits } = this.#options;
    this.#refuseLost();
    if (machine.monotonicMs() - this.#checkedMs >= limits.leaseTrustMs) {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = null;
      });
      await this.#asking;
    }
    this.#refuseLost();
    return this.#epoch ?? 0;
  }

  #refuseLost(): void {
    if (this.#lostTo === null) return;
    throw new SysError("EBUSY", `cannot replicate: "${this.#lostTo}" writes there now`, {
      hint: "stop the other machine, then set the replica again",
    });
  }

  async #ask(): Promise<void> {
    const { machine, store, owner: self, limits } = this.#options;
    const startedMs = machine.monotonicMs();
    const found = await store.look(leaseKey);
    const lease = found === null ? null : leaseOf(found.bytes);
    const text = JSON.stringify(lease);
    if (text !== this.#seen.text) this.#seen = { text, sinceMs: startedMs };
    const now = machine.now();
    const unchangedMs = startedMs - this.#seen.sinceMs;
    const [ttlMs, epoch] = [limits.leaseMs, this.#epoch];
    const step = claim(lease, { owner: self, now, ttlMs, unchangedMs, epoch });
    if (step.kind === "wait" || (step.kind === "write" && step.taken && this.#epoch !== null)) {
      const owner = lease === null || lease === "damaged" ? "nobody" : lease.owner;
      this.#refuse(step.kind === "wait" ? step : { owner, untilMs: now });
    }
    if (step.kind === "write") {
      const written = await store.swap(leaseKey, recordBytes(step.lease), found?.version ?? null);
      if (!written) throw new SysError("EBUSY", "cannot replicate: the lease changed hands");
      this.#epoch = step.lease.epoch;
    }
    this.#checkedMs = startedMs;
  }

  /** Lets it run out now, when it is ours. Nothing may be shipped after that. */
  async release(): Promise<void> {
    const { machine, store, owner } = this.#options;
    const found = await store.look(leaseKey);
    const lease = found === null ? null : leaseOf(found.bytes);
    if (found === null || lease === null || lease === "damaged") return;
    if (lease.owner !== owner || lease.epoch !== this.#epoch) return;
    const over = recordBytes({ ...lease, expiresAt: machine.now() });
    await store.swap(leaseKey, over, found.version);
  }

  #refuse({ owner, untilMs }: { readonly owner: string; readonly untilMs: number }): never {
    if (this.#epoch !== null) this.#lostTo = owner;
    this.#refuseLost();
    const waitMs = Math.max(untilMs - this.#options.machine.now(), 0);
    throw new SysError("EBUSY", `cannot replicate: "${owner}" writes there`, {
      hint: "stop the other machine, or name another prefix",
      retryAfterMs: waitMs,
    });
  }
}

/** A lease that cannot be read must not keep everybody out for ever: it is only one to be taken. */
function leaseOf(bytes: Uint8Array): Lease | "damaged" {
  try {
    return parseRecord(Lease, bytes, leaseKey);
  } catch {
    return "damaged";
  }
}
