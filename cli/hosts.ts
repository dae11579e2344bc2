/**
 * The machines this user is logged in to: `$XDG_CONFIG_HOME/fazt/hosts.json`, mode 0600, because it
 * holds their tokens. A change writes a new file beside it and renames it.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { SysError } from "../kernel/errno.ts";

export interface Host {
  /** Origin of the OS host: `https://os.example.com`. */
  readonly url: string;
  readonly token: string;
  /** To end the token at logout. */
  readonly tokenId: string;
  /** Unix ms; null: never. */
  readonly expiresAt: number | null;
}

export type Hosts = Readonly<Record<string, Host>>;

type Env = Readonly<Record<string, string | undefined>>;

/** A folder of this user below an XDG base directory (XDG Base Directory 0.8). */
export function userPath(env: Env, base: { variable: string; fallback: string }): string {
  const named = env[base.variable] ?? "";
  return join(named === "" ? join(env["HOME"] ?? homedir(), base.fallback) : named, "fazt");
}

/** Where the file is. */
function hostsPath(env: Env): string {
  return join(userPath(env, { variable: "XDG_CONFIG_HOME", fallback: ".config" }), "hosts.json");
}

/** What the file holds; nothing when there is none. EBADMSG when it cannot be read. */
export function readHosts(env: Env): Hosts {
  const path = hostsPath(env);
  if (!existsSync(path)) return {};
  try {
    return (JSON.parse(readFileSync(path, "utf8")) as { hosts?: Hosts }).hosts ?? {};
  } catch (error) {
    throw new SysError("EBADMSG", `cannot read "${path}": ${(error as Error).message}`, {
      hint: "repair or remove it, then log in again",
      cause: error,
    });
  }
}

/** Replaces the file. */
export function writeHosts(env: Env, hosts: Hosts): void {
  const path = hostsPath(env);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, `${JSON.stringify({ hosts }, null, 2)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, path);
}
