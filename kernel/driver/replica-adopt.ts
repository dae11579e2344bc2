/**
 * An unclaimed machine becomes an old one, from its replica, while its kernel runs: whoever has the
 * setup code names the replica, and everything is made and verified beside what is there.
 *
 * Order: the code is checked and the plan made, which refuses what cannot work → a process of its own
 * makes every database → the machine key is compared → one rename commits → the kernel starts afresh
 * and opens what was made (`replaceDataAtNextOpen` of storage). A cut before the rename leaves the
 * unclaimed machine as it was. One at a time; a claim meanwhile ends it.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../errno.ts";
import { keyCheckOf, type Security } from "../security/mod.ts";
import { replaceDataAtNextOpen, writeMachineKey } from "../storage/mod.ts";
import type { Said } from "./child.ts";
import { limits, type ReplicaLimits } from "./limits.ts";
import type { MachinePlan, Made, MadeMachine } from "./replica-machine.ts";
import { runJob } from "./replica-process.ts";
import type { LookInside } from "./replica-restore.ts";
import { type Place, targetOf } from "./replica-target.ts";
import type { Target } from "./store/mod.ts";

/** What is asked for. */
export interface Adoption {
  readonly code: string;
  readonly address: string | null;
  readonly place: Place;
  /** Unix ms; null: the latest. */
  readonly at: number | null;
  /** The old machine's key; null: what it sealed cannot be read. */
  readonly key: Uint8Array | null;
  readonly dryRun: boolean;
}

/** How far it is. */
export interface AdoptionStep {
  readonly step: "planned" | "made" | "restored";
  /** Of `made`: what was made; else null. */
  readonly database: string | null;
  /** Bytes to be read of the store; of `made` bytes that were made. */
  readonly sizeBytes: number;
  /** Unix ms of the last shipment in it: the moment the machine goes back to. */
  readonly endsAt: number;
  /** Of `restored`: the domain the machine answers for; else null. */
  readonly domain: string | null;
  /** Databases made, of so many. */
  readonly done: number;
  readonly of: number;
}

export interface AdoptParts {
  readonly security: Pick<Security, "checkSetupCode" | "owner">;
  readonly dataDir: string;
  readonly program: readonly string[];
  /** Limits other than the standard ones. */
  readonly limits: Partial<ReplicaLimits>;
  /** Ends the process that makes it: the kernel goes. */
  readonly signal: AbortSignal;
  /** Looks through what is made; undefined: the process that makes it does. */
  readonly look: LookInside | undefined;
  /** Ends this kernel and begins the next one. */
  readonly startAfresh: (reason: string) => void;
}

/** Makes it so that one is under way at most. */
export function createAdoption(parts: AdoptParts) {
  const { security, dataDir, program, startAfresh, signal, look } = parts;
  let underWay = false;
  let restored = false;

  const busy = (state: string): SysError =>
    new SysError("EBUSY", `cannot restore this machine: ${state}`, {
      hint: "wait until it has finished",
    });

  /** Asked twice: between the plan and the first step another one may have come to its end. */
  const refuseSecond = (): void => {
    if (restored) throw busy("it is restored, and starts afresh");
    if (underWay) throw busy("another restore is under way");
  };

  const make = async (job: MachineJob, from: Adoption, told: Told) => {
    const fill = async (fresh: string): Promise<string | null> => {
      const heard = (said: Said) => {
        if (said.kind === "made") told(said.made);
      };
      const made = await runJob(program, { ...job, into: fresh }, { signal, look, heard });
      if (from.key !== null) writeMachineKey(fresh, from.key);
      if (security.owner() !== null) throw claimed();
      return (made as MadeMachine).domain;
    };
    const domain = await replaceDataAtNextOpen({ dataDir, fill });
    // What was known of logs is not true of these; nor is this the old writer.
    rmSync(join(dataDir, "run/replica"), { recursive: true, force: true });
    return domain;
  };

  /** Makes it, whoever listens: a caller who goes does not stop it. */
  async function* run(plan: MachinePlan, job: MachineJob, from: Adoption) {
    refuseSecond();
    underWay = true;
    const steps = new Steps();
    const whole = make(job, from, (made) => steps.add(made))
      .then((domain) => {
        restored = true;
        // The listener lets answers under way finish, this one among them.
        startAfresh("it is another machine now, restored from its replica");
        return domain;
      })
      .finally(() => {
        underWay = false;
        steps.end();
      });
    whole.catch(() => undefined);
    yield* planned(plan);
    let done = 0;
    for await (const made of steps) {
      yield { ...figuresOf(plan), step: "made" as const, ...made, done: ++done };
    }
    const domain = await whole;
    yield { ...figuresOf(plan), step: "restored" as const, done, domain };
  }

  return async function adopt(from: Adoption): Promise<AsyncGenerator<AdoptionStep>> {
    await security.checkSetupCode(from.code, from.address);
    refuseSecond();
    const job = jobOf(from, parts);
    const plan = (await runJob(program, job, { signal }).catch(asStoreRefusal)) as MachinePlan;
    return from.dryRun ? planned(plan) : run(plan, job, from);
  };
}

/** Slow, busy or broken: to the caller the store did not do it, and the text says why. */
function asStoreRefusal(error: unknown): never {
  const told = ["ENOENT", "EACCES", "EBADMSG", "EIO", "EINVAL"];
  if (error instanceof SysError && !told.includes(error.code)) {
    throw new SysError("EIO", error.message, { cause: error });
  }
  throw error;
}

type Told = (made: Made) => void;

const claimed = (): SysError =>
  new SysError("EEXIST", "cannot restore this machine: it has an owner", { hint: "log in" });

type MachineJob = ReturnType<typeof jobOf>;

function jobOf(from: Adoption, { dataDir, limits: own }: AdoptParts) {
  const target: Target = targetOf(from.place);
  const keyCheck = from.key === null ? null : keyCheckOf(from.key);
  const about = { target, dataDir, owner: "", at: from.at, keyCheck, limits: own };
  return { job: "machine", ...about } as const;
}

function figuresOf(plan: MachinePlan) {
  const sizeBytes = plan.plans.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  const endsAt = Math.max(...plan.plans.map(({ endsAt: ends }) => ends));
  return { database: null, domain: null, sizeBytes, endsAt, done: 0, of: plan.plans.length };
}

async function* planned(plan: MachinePlan): AsyncGenerator<AdoptionStep> {
  yield { ...figuresOf(plan), step: "planned" };
}

/** What has been made, for who asks one at a time. */
class Steps implements AsyncIterable<Made> {
  readonly #made: Made[] = [];
  #ended = false;
  #wake: () => void = () => undefined;

  add(made: Made): void {
    if (this.#made.length < limits.databasesMax) this.#made.push(made);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Made> {
    for (;;) {
      const made = this.#made.shift();
      if (made !== undefined) yield made;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
