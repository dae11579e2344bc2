/**
 * `fazt proc init`: claims a machine without the wizard: offline on its data directory, or through
 * the control socket when a kernel runs on it. The root password comes from a file or from standard
 * input, never from an argument.
 */
import { createClient } from "../cli/client.ts";
import { readNewSecret } from "../cli/secret.ts";
import { table } from "../cli/table.ts";
import { realTerminal } from "../cli/terminal.ts";
import { boot } from "../kernel/boot.ts";
import { controlSocketPath, surroundings } from "../kernel/data-dir.ts";
import { SysError } from "../kernel/errno.ts";
import { launcher } from "./launcher.ts";
import { claimOptions } from "./options.ts";
import { version } from "./version.ts";

interface Wanted {
  readonly rootPass: string;
  readonly domain: string;
  readonly email: string;
}

async function claimOffline(dataDir: string, wanted: Wanted): Promise<void> {
  const booted = await boot({ dataDir, version, launcher: launcher() });
  try {
    await booted.kernel.security.claimLocally(wanted);
  } finally {
    await booted.close();
  }
}

async function claimThroughSocket(dataDir: string, wanted: Wanted): Promise<void> {
  const target = { kind: "local", dataDir, socket: controlSocketPath(dataDir) } as const;
  await createClient(target, table).json("security.claim", wanted);
}

/** The command. EEXIST when the machine has an owner. */
export async function claim(args: readonly string[]): Promise<number> {
  const options = claimOptions(args, surroundings());
  const { dataDir, domain, email } = options;
  const rootPass = await readNewSecret(realTerminal(), options.rootPassFile, {
    what: "root password",
  });
  const wanted = { rootPass, domain, email };
  try {
    await claimOffline(dataDir, wanted);
  } catch (error) {
    if (!(error instanceof SysError && error.code === "EBUSY")) throw error;
    // A kernel runs on it.
    await claimThroughSocket(dataDir, wanted);
  }
  const done = { domain, email, dataDir };
  process.stdout.write(
    options.json ? `${JSON.stringify(done)}\n` : `claimed ${dataDir} as ${domain}\n`,
  );
  return 0;
}
