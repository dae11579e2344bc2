/**
 * `fazt proc init`: claims a machine without the wizard, offline on its data directory. The root
 * password comes from a file or from standard input, never from an argument.
 */
import { readFileSync } from "node:fs";
import { boot } from "../kernel/boot.ts";
import { launcher } from "./launcher.ts";
import { claimOptions, surroundings } from "./options.ts";
import { version } from "./version.ts";

/** The password as it stands in a file: without the line's end. */
export function readSecret(path: string | null): string {
  return readFileSync(path ?? 0, "utf8").replace(/\r?\n$/, "");
}

/** The command. EEXIST when the machine has an owner, EBUSY when a kernel runs on it. */
export async function claim(args: readonly string[]): Promise<number> {
  const options = claimOptions(args, surroundings());
  const rootPass = readSecret(options.rootPassFile);
  const booted = await boot({ dataDir: options.dataDir, version, launcher: launcher() });
  try {
    const { domain, email } = options;
    await booted.kernel.security.claimLocally({ rootPass, domain, email });
    const done = { domain, email, dataDir: options.dataDir };
    process.stdout.write(
      options.json ? `${JSON.stringify(done)}\n` : `claimed ${options.dataDir} as ${domain}\n`,
    );
    return 0;
  } finally {
    await booted.close();
  }
}
