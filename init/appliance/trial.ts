/**
 * The appliance's side of a trial of its operating system: settled before the kernel boots, its
 * breadcrumbs while it does, and judged once it is up. With nothing on trial it does nothing.
 */
import type { Booted, BootOptions } from "../../kernel/boot.ts";
import { SysError } from "../../kernel/errno.ts";
import type { Machine } from "../../kernel/machine.ts";
import { applianceSystem, giveUp, notePhase, settleBoot } from "../../kernel/proc/system/mod.ts";
import { thisHost } from "../console/host.ts";
import type { Trouble } from "../trouble.ts";

export interface Trial {
  /** What the kernel is booted with. */
  readonly surplus: Pick<BootOptions, "system">;
  reached(target: string): void;
  /** The kernel cannot boot: a trial ends with that, and the machine starts its old system. */
  failed(trouble: Trouble): Promise<void>;
  /** Compares with before, in the background; the machine is there meanwhile. */
  judge(booted: Booted): void;
}

const none: Trial = {
  surplus: {},
  reached: () => {},
  failed: async () => {},
  judge: () => {},
};

/** Settles what was tried before, says what came of it, and answers what is to be done now. */
export async function trialOf(machine: Machine, say: (line: string) => void): Promise<Trial> {
  if (!thisHost("/proc/cmdline").appliance) return none;
  const host = applianceSystem();
  const wrong = (error: unknown) => {
    const why = error instanceof SysError ? error.message : "internal error";
    say(`[failed] slots     ${why}`);
  };
  const surplus = { system: host };
  let trial = false;
  try {
    const told = await settleBoot(machine, host);
    trial = told.trial;
    if (told.line !== null) say(`[ slot ] ${told.line}`);
  } catch (error) {
    // The machine starts whatever its boot partition says; systemd's clock ends a trial.
    wrong(error);
  }
  if (!trial) return { ...none, surplus };
  return {
    surplus,
    reached: (target) => notePhase(machine, host, target),
    failed: (trouble) => giveUp(machine, host, trouble).catch(wrong),
    judge: ({ kernel }) => {
      void kernel.system.judge().then((line) => {
        if (line !== null) say(`[ slot ] ${line}`);
      }, wrong);
    },
  };
}
