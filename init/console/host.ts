/**
 * The machine under the console: whether it is the appliance, and what the console does to it when
 * no kernel is there to be asked.
 *
 * Off the appliance the console restarts and switches off nothing: the machine is somebody else's.
 */
import { readFileSync } from "node:fs";
import { SysError } from "../../kernel/errno.ts";

export interface Host {
  readonly appliance: boolean;
  /** Whether the boot menu asked for recovery. */
  readonly recovery: boolean;
  /** ENOSYS off the appliance, EIO. */
  systemctl(...words: readonly string[]): Promise<void>;
}

/** What the kernel's command line says (kernel-command-line(7)). Pure. */
export function spokenBy(commandLine: string): { appliance: boolean; recovery: boolean } {
  const words = commandLine.trim().split(/\s+/);
  return { appliance: words.includes("fazt.appliance"), recovery: words.includes("fazt.recovery") };
}

/** The host this program runs on; `commandLine` is the path of the kernel's command line. */
export function thisHost(commandLine: string): Host {
  let text = "";
  try {
    text = readFileSync(commandLine, "utf8");
  } catch {
    // No /proc, so no appliance.
  }
  const { appliance, recovery } = spokenBy(text);
  return {
    appliance,
    recovery,
    systemctl: async (...words) => {
      if (!appliance) {
        throw new SysError("ENOSYS", `cannot ${words[0]}: this machine belongs to its host`, {
          hint: "only the appliance is restarted and switched off by fazt",
        });
      }
      const child = Bun.spawn(["systemctl", ...words], { stdio: ["ignore", "ignore", "pipe"] });
      const said = await child.stderr.text();
      if ((await child.exited) === 0) return;
      throw new SysError("EIO", `cannot ${words.join(" ")}: ${said.trim() || "no answer"}`);
    },
  };
}
