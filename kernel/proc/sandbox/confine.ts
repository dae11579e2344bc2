/**
 * One process held to its limits: found behind bubblewrap, given its resource limits and its
 * control group (or a watch), and accounted for when it has ended. The process waits meanwhile for
 * its first words on the socket, so none of the app's code runs before.
 */
import { availableParallelism, totalmem } from "node:os";
import type { Machine } from "../../machine.ts";
import type { Group, Groups } from "./cgroup.ts";
import { childrenOf } from "./identity.ts";
import { type Libc, resource } from "./libc.ts";
import {
  descriptorsMax,
  habitMs,
  memoryShareMax,
  sandboxMsMax,
  signalsMax,
  threadsMax,
  threadsPerCore,
} from "./limits.ts";
import type { Processors } from "./processors.ts";
import { createShare, type Habit } from "./share.ts";
import { type Watch, watchMemory } from "./watch.ts";

/** What one app may use, as its manifest and the machine say. */
export interface Wants {
  readonly memoryBytes: number;
  /** Processor weight; 100 is normal. */
  readonly weight: number;
  /** Bytes of the largest file it may write. */
  readonly fileBytes: number;
}

/** What this host can do about it. */
export interface Means {
  readonly machine: Machine;
  readonly libc: Libc | null;
  /** The group the process was born in. */
  readonly group: Group | null;
  /** Whether that group holds it to its memory, and shares processors out. */
  readonly holdsMemory: boolean;
  readonly sharesProcessors: boolean;
  /** Where groups of version 1 do that; null where not. */
  readonly processors: Processors | null;
  /** The app is the child of the process that was started. */
  readonly wrapped: boolean;
  /** What is remembered of whose process it is. */
  readonly habit: Habit;
  /** Lets go of what only the making of the sandbox needed. Any number of times. */
  setUp(): void;
}

/** A process that is held. */
export interface Confined {
  /** Resolves when the limits hold; rejects when the host refused them. */
  readonly ready: Promise<void>;
  /** The app's own process on the host; null when there is none yet. */
  pid(): number | null;
  /** SIGKILL to all of it: the app and what is around it. */
  kill(): void;
  /** The program runs: the sandbox around it is complete. */
  started(): void;
  /**
   * Looks at the processor time it has used: who takes much gives way to everybody else. What the
   * host does not tell of its group is asked of `usedMs`.
   */
  look(usedMs: () => number): void;
  /** After its end: why it was killed, when that was for want of memory. Frees what held it. */
  ended(): string | null;
}

/** Bytes that an app gets: what it wants, up to a share of the machine's. */
const memoryOf = (wantedBytes: number): number =>
  Math.min(wantedBytes, Math.floor(totalmem() * memoryShareMax));

const cores = availableParallelism();
const threads = threadsMax + threadsPerCore * cores;

/** The group for a process that is about to be made; null where there are none. */
export function makeGroup(groups: Groups | null, { memoryBytes, weight }: Wants): Group | null {
  return groups?.make({ memoryBytes: memoryOf(memoryBytes), threads, weight, cores }) ?? null;
}

function signal(pid: number | null, name: "SIGSTOP" | "SIGKILL"): void {
  try {
    if (pid !== null) process.kill(pid, name);
  } catch {
    // It has just ended, or is no group yet.
  }
}

const mb = (bytes: number): number => Math.ceil(bytes / 1_048_576);

/** Confines the process that has just been started as `outer`. `exceeded` ends it. */
export function confine(outer: number, wants: Wants, by: Means & { exceeded(): void }): Confined {
  const { machine, libc, group, wrapped } = by;
  const maxBytes = memoryOf(wants.memoryBytes);
  let inner: number | null = wrapped ? null : outer;
  let watch: Watch | null = null;
  let over = false;
  let gone = false;

  const find = (): number | null => {
    inner ??= childrenOf(outer)[0] ?? null;
    return inner;
  };
  const share = createShare(
    {
      libc: wrapped ? libc : null,
      group: by.sharesProcessors ? group : null,
      processors: by.processors,
      pid: find,
    },
    wants.weight,
    by.habit,
  );
  const hold = (pid: number): void => {
    if (wrapped) {
      limitResources(libc, pid, wants.fileBytes);
      share.begin();
    }
    if (by.holdsMemory) return;
    const exceeded = () => {
      over = true;
      by.exceeded();
    };
    watch = watchMemory(pid, maxBytes, { machine, over: exceeded });
  };
  const settle = async (): Promise<void> => {
    const endMs = machine.monotonicMs() + sandboxMsMax;
    while (machine.monotonicMs() < endMs && !gone) {
      const pid = find();
      if (pid !== null) return hold(pid);
      await new Promise<void>((resolve) => machine.after(1, resolve));
    }
    if (!gone) throw new Error("its sandbox was not set up in time");
  };
  const kill = (): void => {
    group?.kill();
    if (group !== null || gone) return;
    // Stopped first, it makes no child any more that would be missed here.
    signal(outer, "SIGSTOP");
    signal(find(), "SIGKILL");
    signal(-outer, "SIGKILL");
    signal(outer, "SIGKILL");
  };
  return {
    ready: settle(),
    pid: () => (gone ? null : find()),
    kill,
    started: () => {
      by.setUp();
      // It is in a session of its own only by now.
      if (wrapped) share.begin();
    },
    look: (usedMs) => {
      if (!wrapped || gone) return;
      share.used(group?.usedMs() ?? usedMs(), machine.monotonicMs());
    },
    ended: () => {
      gone = true;
      by.setUp();
      watch?.stop();
      const killed = over || (group?.wasKilled() ?? false);
      // What took all it may have once begins by giving way: it may do so again.
      if (killed) by.habit.greedyUntilMs = machine.monotonicMs() + habitMs;
      const peak = group?.peakBytes() ?? watch?.peakBytes ?? 0;
      group?.remove();
      return killed ? `out of memory: it used ${mb(peak)} MB and may use ${mb(maxBytes)} MB` : null;
    },
  };
}

/** What the host refuses is not held; the sandbox's detail has said so at the start. */
function limitResources(libc: Libc | null, pid: number, fileBytes: number): void {
  libc?.limit(pid, resource.core, 0);
  libc?.limit(pid, resource.descriptors, descriptorsMax);
  libc?.limit(pid, resource.threads, threads);
  libc?.limit(pid, resource.fileBytes, fileBytes);
  libc?.limit(pid, resource.signals, signalsMax);
  libc?.limit(pid, resource.queues, 0);
  libc?.limit(pid, resource.nice, 0);
  libc?.limit(pid, resource.realtime, 0);
}
