/**
 * The machine under the appliance's kernel: systemd for its power, the boot loader's state for what
 * the next boot does.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../../errno.ts";
import { type BootPartition, setBootState } from "../system/mod.ts";

export interface PowerHost {
  /** Begins it and answers; the kernel is ended in order by systemd. EIO. */
  control(verb: "reboot" | "poweroff"): Promise<void>;
  /** Lets the next boot, and no other, be charted. EIO. */
  chartNext(): Promise<void>;
  /** The newest chart; null when no boot of this machine was charted. `at` in Unix ms. */
  chart(): { readonly path: string; readonly at: number } | null;
  /** Forgets what was logged outside of the data directory. Never fails. */
  forgetJournal(): Promise<void>;
}

async function run(...command: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "pipe"] });
  const said = await child.stderr.text();
  if ((await child.exited) === 0) return;
  throw new SysError("EIO", `cannot run "${command.join(" ")}": ${said.trim() || "failed"}`);
}

/** The host of the appliance, where systemd is the first process and leaves charts in `chartDir`. */
export function appliancePower(boot: BootPartition, chartDir = "/run"): PowerHost {
  return {
    control: (verb) => run("systemctl", "--no-block", verb),
    chartNext: () => boot.write((dir) => setBootState(dir, { chart: "1" })),
    chart: () => {
      if (!existsSync(chartDir)) return null;
      const names = readdirSync(chartDir).filter((name) => /^bootchart-.*\.svg$/.test(name));
      const name = names.sort().at(-1);
      if (name === undefined) return null;
      const path = join(chartDir, name);
      return { path, at: Math.round(statSync(path).mtimeMs) };
    },
    forgetJournal: async () => {
      const child = Bun.spawn(["journalctl", "--rotate", "--vacuum-time=1s"], {
        stdio: ["ignore", "ignore", "ignore"],
      });
      await child.exited;
    },
  };
}
