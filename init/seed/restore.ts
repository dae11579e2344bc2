/**
 * An old machine from its replica, as a document asks for it. The kernel cannot swap its own
 * databases, so this is an order: whoever runs the kernel stops it, restores, and starts it again.
 */
import { join } from "node:path";
import type { Booted } from "../../kernel/boot.ts";
import { restoreMachine, targetOf, timeOf } from "../../kernel/driver/mod.ts";
import { SysError } from "../../kernel/errno.ts";
import type { SeedNote } from "../../kernel/security/mod.ts";
import { readerIn } from "../restore.ts";
import { networkFor, type Word } from "./step.ts";

export interface RestoreOrder {
  /** What is restored, for people. */
  readonly summary: string;
  /** While no kernel runs on the data directory: all of it, or nothing. Errnos of the replica. */
  restore(): Promise<void>;
  /** With the kernel that was started on it: its network is this machine's, not the old one's. */
  settle(booted: Booted): Promise<void>;
}

/** Reads the plan, so that an order that cannot be carried out stops no kernel. */
export async function planRestore(word: Word, record: SeedNote): Promise<RestoreOrder> {
  const wanted = word.document?.restore;
  if (wanted === undefined) throw new SysError("EINVAL", "cannot restore: nothing is named");
  const { machineKey, at, ...place } = wanted;
  const options = {
    target: targetOf(place),
    dataDir: word.dataDir,
    at: at === undefined ? null : timeOf(at),
    key: machineKey === undefined ? null : new Uint8Array(Buffer.from(machineKey, "base64")),
    force: true,
  };
  const { plans } = await patiently(word, () => restoreMachine({ ...options, dryRun: true }));
  const summary = `${plans.length} databases from ${place.url}`;
  return {
    summary,
    restore: async () => {
      const { enclose, close } = readerIn(join(word.dataDir, "run"));
      await restoreMachine({ ...options, dryRun: false, enclose }).finally(close);
    },
    settle: async ({ kernel }) => {
      const { network } = networkFor(word);
      // What the system refuses of it is kept, and applied again at the next boot.
      if (network !== null) await kernel.iface.provision(network).catch(passOver);
      const done = { ...record, steps: [...record.steps, "restore"], done: true, problem: null };
      await kernel.security.noteSeed({ ...done, at: kernel.machine.now() });
      const text = `first boot: restored ${summary}`;
      kernel.storage.logs.append({
        app: "kernel",
        appId: null,
        releaseId: null,
        level: "info",
        text,
      });
    },
  };
}

function passOver(error: unknown): void {
  if (!(error instanceof SysError && error.code === "EIO")) throw error;
}

/** The network may have come up just now: what the store does not answer is asked again. */
async function patiently<T>({ site }: Word, work: () => Promise<T>): Promise<T> {
  const untilMs = site.machine.monotonicMs() + site.patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const passing = error instanceof SysError && ["EIO", "ETIMEDOUT"].includes(error.code);
      if (!passing || site.machine.monotonicMs() + site.retryMs > untilMs) throw error;
      await new Promise<void>((resolve) => site.machine.after(site.retryMs, resolve));
    }
  }
}
