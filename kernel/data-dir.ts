/**
 * Where a kernel's data is on this machine, and where its control socket is in it. A leaf, because
 * the kernel that starts and the command that looks for it must agree (contract).
 */
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** What decides the defaults. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

/** The surroundings of this process. */
export function surroundings(): Surroundings {
  return { env: process.env, uid: process.getuid?.() ?? 1 };
}

/**
 * The whole path of it, because what is started with it has another working directory: `--data`,
 * else `FAZT_DATA`, else `/var/lib/fazt` for root, else the user's XDG data dir.
 */
export function dataDirOf(flag: string | undefined, { env, uid }: Surroundings): string {
  if (flag !== undefined) return resolve(flag);
  const named = env["FAZT_DATA"];
  if (named !== undefined && named !== "") return resolve(named);
  if (uid === 0) return "/var/lib/fazt";
  const xdg = env["XDG_DATA_HOME"];
  if (xdg !== undefined && xdg !== "") return join(xdg, "fazt");
  return join(env["HOME"] ?? homedir(), ".local/share/fazt");
}

/** Where the control socket of a data directory is. */
export function controlSocketPath(dataDir: string): string {
  return join(dataDir, "run", "fazt.sock");
}
