/**
 * What may be done to the machine as a whole, and by whom.
 */
import type { Caller } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import { askReset, eraseWords } from "../../storage/mod.ts";
import type { PowerHost } from "./host.ts";

/** A boot that was charted. */
export interface Chart {
  readonly path: string;
  /** Unix ms. */
  readonly at: number;
}

export interface Power {
  /** ENOSYS off the appliance, EIO. */
  control(verb: "reboot" | "poweroff"): Promise<void>;
  /** Lets the next boot be charted; answers the last chart. ENOSYS, EIO. */
  chartNext(): Promise<Chart | null>;
  /** The last chart, null when there is none. */
  lastChart(): Chart | null;
  /** The last chart. ENOENT. */
  chart(): Chart;
  /**
   * Has everything erased when a kernel starts next; restarts the appliance for it. EPERM away from
   * the machine, EINVAL (other words).
   */
  reset(from: Caller, confirm: string): Promise<void>;
}

/** The power of this machine; `host` is null where the machine is somebody else's. */
export function createPower(dataDir: string, host: PowerHost | null): Power {
  const owned = (action: string): PowerHost => {
    if (host !== null) return host;
    throw new SysError("ENOSYS", `cannot ${action}: this machine is no appliance`, {
      hint: "its own system restarts it and switches it off",
    });
  };
  return {
    control: (verb) =>
      owned(verb === "reboot" ? "restart the machine" : "switch the machine off").control(verb),
    chartNext: async () => {
      const found = owned("chart the next boot");
      await found.chartNext();
      return found.chart();
    },
    lastChart: () => host?.chart() ?? null,
    chart: () => {
      const found = host?.chart() ?? null;
      if (found !== null) return found;
      throw new SysError("ENOENT", "cannot show the chart of a boot: none was charted", {
        hint: "on the appliance: fazt proc bootchart, then fazt proc reboot",
      });
    },
    reset: async (from, confirm) => {
      if (from.via !== "socket" && from.via !== "boot") {
        throw new SysError("EPERM", "cannot erase everything: the caller is not at the machine", {
          hint: "at its console: boot menu, recovery",
        });
      }
      if (confirm !== eraseWords) {
        throw new SysError("EINVAL", `cannot erase everything: "${confirm}" is not the words`, {
          hint: `type: ${eraseWords}`,
        });
      }
      askReset(dataDir);
      await host?.forgetJournal();
      await host?.control("reboot");
    },
  };
}
