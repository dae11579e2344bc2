/**
 * `fazt proc start`: boots the kernel in the foreground, opens its listener and control socket,
 * says where it is, and waits for a signal. SIGTERM and SIGINT stop it in order; a second one at
 * once. Errors are told as the CLI tells them, and exit as the errno says.
 */
import { homedir } from "node:os";
import { type Booted, boot } from "../kernel/boot.ts";
import { surroundings } from "../kernel/data-dir.ts";
import { createSys, openControlSocket } from "../kernel/syscall/mod.ts";
import { launcher } from "./launcher.ts";
import { type StartOptions, startOptions } from "./options.ts";
import { createOs } from "./os.ts";
import { version } from "./version.ts";

/** What is said when the kernel is ready (contract: one JSON line with `--json`). */
export interface Ready {
  readonly ready: true;
  readonly http: string;
  readonly https: string | null;
  readonly domain: string | null;
  readonly setupCode: string | null;
  readonly bootMs: number;
}

/** A running system: the kernel, its listener and its control socket. */
export interface Running {
  readonly booted: Booted;
  readonly ready: Ready;
  stop(): Promise<void>;
}

/** Everything `proc start` does before it waits. Used by tests as it is. */
export async function run(options: StartOptions): Promise<Running> {
  const booted = await boot({
    dataDir: options.dataDir,
    version,
    launcher: launcher(),
    insecureNoSandbox: options.insecureNoSandbox,
  });
  try {
    const { kernel } = booted;
    if (options.domain !== null && kernel.security.owner() !== null) {
      await kernel.security.setDomain(options.domain);
    }
    const sys = createSys(booted);
    const listening = kernel.net.listen(options.http, createOs(sys, options.domain));
    const control = openControlSocket(options.dataDir, sys);
    const stop = async () => {
      await control.close();
      await booted.close();
    };
    return { booted, ready: readyOf(booted, listening.url), stop };
  } catch (error) {
    await booted.close();
    throw error;
  }
}

function readyOf({ kernel, bootedAtMs }: Booted, http: string): Ready {
  return {
    ready: true,
    http,
    https: null,
    domain: kernel.security.owner()?.domain ?? null,
    setupCode: kernel.security.setupCode(),
    bootMs: Math.round(kernel.machine.monotonicMs() - bootedAtMs),
  };
}

/** The words for a person at the console. */
export function banner(ready: Ready, dataDir: string): string {
  const at = dataDir.replace(homedir(), "~");
  const lines = [`fazt ${version} is ready in ${ready.bootMs} ms, data in ${at}`, ""];
  if (ready.setupCode === null) {
    const port = new URL(ready.http).port;
    const suffix = port === "" ? "" : `:${port}`;
    lines.push(`  OS shell    http://os.${ready.domain}${suffix}/`);
  } else {
    lines.push(`  Open        ${ready.http}/`, `  Setup code  ${ready.setupCode}`);
  }
  return `${lines.join("\n")}\n\n  Stop with Ctrl-C.\n`;
}

/** After five wrong tries the old code is dead; the console shows the new one. */
const newCode = (code: string): string => `\n  New setup code  ${code}  (too many wrong tries)\n`;

/** Resolves with the first SIGTERM or SIGINT; the second one exits at once. */
function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let count = 0;
    const told = (signal: NodeJS.Signals) => {
      if (count++ > 0) process.exit(130);
      resolve(signal);
    };
    process.on("SIGTERM", told);
    process.on("SIGINT", told);
  });
}

/** The command. Answers the exit code. */
export async function start(args: readonly string[]): Promise<number> {
  const options = startOptions(args, surroundings());
  const signal = signalled();
  const running = await run(options);
  const { ready } = running;
  process.stdout.write(
    options.json ? `${JSON.stringify(ready)}\n` : banner(ready, options.dataDir),
  );
  running.booted.kernel.security.onSetupCode((code) => {
    process.stdout.write(options.json ? `${JSON.stringify({ setupCode: code })}\n` : newCode(code));
  });
  await signal;
  if (!options.json) process.stdout.write("stopping\n");
  await running.stop();
  return 0;
}
