/**
 * The machine under the appliance's kernel: systemd for its power, the boot loader's state for what
 * the next boot does (the environment block of GRUB: lines `name=value`, padded with `#` to 1 KiB).
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { SysError } from "../../errno.ts";

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

export interface AppliancePowerOptions {
  /** Where systemd-bootchart leaves its charts. */
  readonly chartDir?: string;
  /** Where the boot partition is mounted while it is written to. */
  readonly bootDir?: string;
}

const blockBytes = 1024;
const head = "# GRUB Environment Block\n";

/** An environment block with one variable set. Pure. EIO when it is none or full. */
export function withVariable(block: string, name: string, value: string): string {
  const lines = block.split("\n").filter((line) => !/^#*$/.test(line) && line !== head.trim());
  const kept = lines.filter((line) => !line.startsWith(`${name}=`) && line.includes("="));
  const text = `${head}${[...kept, `${name}=${value}`].join("\n")}\n`;
  if (block.startsWith(head) && text.length <= blockBytes) return text.padEnd(blockBytes, "#");
  throw new SysError("EIO", `cannot set "${name}" for the boot loader: its state is damaged`, {
    hint: "start the slot by hand in the boot menu, then upgrade",
  });
}

async function run(...command: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "pipe"] });
  const said = await child.stderr.text();
  if ((await child.exited) === 0) return;
  throw new SysError("EIO", `cannot run "${command.join(" ")}": ${said.trim() || "failed"}`);
}

/** Overwrites the block where it is: GRUB finds it by its place on the disk. */
function setVariable(path: string, name: string, value: string): void {
  const text = withVariable(readFileSync(path, "latin1"), name, value);
  const file = openSync(path, "r+");
  try {
    writeSync(file, text, 0, "latin1");
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The host of the appliance, where systemd is the first process. */
export function appliancePower(options: AppliancePowerOptions = {}): PowerHost {
  const { chartDir = "/run/log", bootDir = "/boot/esp" } = options;
  return {
    control: (verb) => run("systemctl", "--no-block", verb),
    chartNext: async () => {
      await run("mount", "-t", "vfat", "/dev/disk/by-label/FAZT-ESP", bootDir);
      try {
        setVariable(join(bootDir, "fazt", "grubenv"), "chart", "1");
      } finally {
        await run("umount", bootDir);
      }
    },
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
