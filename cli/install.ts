/**
 * `fazt proc install` and `uninstall`: the kernel as a systemd service of any Linux machine, from
 * the one binary that is running. The data directory is never removed.
 */
import { existsSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { dataDirOf } from "../kernel/data-dir.ts";
import { SysError } from "../kernel/errno.ts";
import type { LocalCommand } from "./command.ts";
import { answer, around, type Context } from "./context.ts";
import { parameter } from "./parameter.ts";
import { fileError } from "./secret.ts";

const unitPath = "/etc/systemd/system/fazt.service";

/** A word of ExecStart= (systemd.service(5): quotes, specifiers, variables). */
function unitWord(word: string): string {
  const escaped = word.replace(/["\\]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w@:,./=+-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

/** The unit file that starts this command line. Pure. */
export function unitText(command: readonly string[]): string {
  return `# Written by "fazt proc install"; "fazt proc uninstall" removes it.
[Unit]
Description=fazt, a personal cloud OS
Wants=network-online.target
After=network-online.target
# Never given up: a program that ends again and again is left for the one before it, by itself.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${command.map(unitWord).join(" ")}
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=30
Delegate=yes
LimitNOFILE=65536
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
`;
}

/** How this very program is started again. */
function program(): string[] {
  const compiled = Bun.main.startsWith("/$bunfs/");
  const executable = realpathSync(process.execPath);
  return compiled ? [executable] : [executable, "--no-env-file", "--no-install", resolve(Bun.main)];
}

function assertSystemd(context: Context, action: string): void {
  // sd_booted(3): the directory is there when systemd is the one that booted the machine.
  if (!existsSync("/run/systemd/system")) {
    throw new SysError("ENOSYS", `cannot ${action}: systemd does not run this machine`, {
      hint: 'let your own supervisor run "fazt proc start"',
    });
  }
  if (around(context).uid === 0) return;
  throw new SysError("EPERM", `cannot ${action}: only root may`, {
    hint: "use sudo; a user's own kernel needs no service: fazt proc start",
  });
}

async function systemctl(...args: string[]): Promise<void> {
  const child = Bun.spawn(["systemctl", ...args], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const text = await child.stderr.text();
  if ((await child.exited) === 0) return;
  throw new SysError("EIO", `cannot run "systemctl ${args.join(" ")}": ${text.trim()}`);
}

async function runInstall(context: Context, at: Parameters<LocalCommand["run"]>[1]) {
  assertSystemd(context, "install the service");
  const dataDir = resolve(dataDirOf(at.globals.data ?? undefined, around(context)));
  const words = [...program(), "proc", "start", "--data", dataDir];
  for (const name of ["http", "domain"]) {
    const value = at.input[name];
    if (typeof value === "string") words.push(`--${name}`, value);
  }
  try {
    writeFileSync(unitPath, unitText(words));
  } catch (error) {
    throw fileError("write", unitPath, error);
  }
  await systemctl("daemon-reload");
  await systemctl("enable", "fazt.service");
  await systemctl("restart", "fazt.service");
  const text = `installed ${unitPath}, data in ${dataDir}\nits first words: journalctl -u fazt`;
  await answer(context, at.globals, { json: { unit: unitPath, dataDir }, text });
  return 0;
}

async function runUninstall(context: Context, at: Parameters<LocalCommand["run"]>[1]) {
  assertSystemd(context, "remove the service");
  if (!existsSync(unitPath)) {
    throw new SysError("ENOENT", `cannot remove the service: no "${unitPath}"`);
  }
  await systemctl("disable", "--now", "fazt.service");
  rmSync(unitPath, { force: true });
  await systemctl("daemon-reload");
  await answer(context, at.globals, {
    json: { unit: unitPath },
    text: `removed ${unitPath}; the data stays where it is`,
  });
  return 0;
}

const installCommand: LocalCommand = {
  words: ["proc", "install"],
  summary: "Make the kernel a systemd service that starts with the machine",
  manual:
    "Writes /etc/systemd/system/fazt.service for the program that is running, and starts it. " +
    "Copying one binary and this command are all a Linux machine needs. Needs root.",
  parameters: [
    parameter("http", "address of the HTTP listener"),
    parameter("domain", "domain of this machine"),
  ],
  examples: [{ say: "On port 80", line: "proc install --http :80" }],
  run: runInstall,
};

const uninstallCommand: LocalCommand = {
  words: ["proc", "uninstall"],
  summary: "Stop the systemd service and remove it; the data stays",
  parameters: [],
  examples: [{ say: "No longer", line: "proc uninstall" }],
  run: runUninstall,
};

export const installCommands: readonly LocalCommand[] = [installCommand, uninstallCommand];
