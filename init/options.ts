/**
 * What `fazt proc start` and `fazt proc init` are told: flags, then the environment, then defaults
 * (contract). Pure: the environment comes in as an argument.
 */
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SysError } from "../kernel/errno.ts";
import { nearest } from "../kernel/nearest.ts";

export interface StartOptions {
  readonly dataDir: string;
  readonly http: string;
  readonly domain: string | null;
  readonly json: boolean;
  readonly insecureNoSandbox: boolean;
}

export interface ClaimOptions {
  readonly dataDir: string;
  readonly domain: string;
  readonly email: string;
  /** Null: read standard input. */
  readonly rootPassFile: string | null;
  readonly json: boolean;
}

/** What decides the defaults. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

/** The surroundings of this process. */
export function surroundings(): Surroundings {
  return { env: process.env, uid: process.getuid?.() ?? 1 };
}

/** `--data`, else `FAZT_DATA`, else `/var/lib/fazt` for root, else the user's XDG data dir. */
export function dataDirOf(flag: string | undefined, { env, uid }: Surroundings): string {
  if (flag !== undefined) return flag;
  const named = env["FAZT_DATA"];
  if (named !== undefined && named !== "") return named;
  if (uid === 0) return "/var/lib/fazt";
  const xdg = env["XDG_DATA_HOME"];
  if (xdg !== undefined && xdg !== "") return join(xdg, "fazt");
  return join(env["HOME"] ?? homedir(), ".local/share/fazt");
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

const startFlags = {
  data: text,
  http: text,
  domain: text,
  json: flag,
  "insecure-no-sandbox": flag,
} as const;

const claimFlags = {
  data: text,
  domain: text,
  email: text,
  "root-pass-file": text,
  json: flag,
} as const;

/** Parses flags; anything unknown is a usage error (EINVAL) that names it. */
function read<const F extends Record<string, { type: "string" | "boolean" }>>(
  args: readonly string[],
  options: F,
) {
  for (const arg of args) {
    const name = /^--([^=]+)/.exec(arg)?.[1];
    if (name === undefined || name in options) continue;
    const guess = nearest(name, Object.keys(options));
    throw new SysError("EINVAL", `unknown flag "--${name}"`, {
      hint: guess === null ? "see --help" : `did you mean "--${guess}"?`,
    });
  }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false }).values;
  } catch (error) {
    throw new SysError("EINVAL", (error as Error).message, { hint: "see --help", cause: error });
  }
}

/** Options of `fazt proc start`. */
export function startOptions(args: readonly string[], around: Surroundings): StartOptions {
  const values = read(args, startFlags);
  return {
    dataDir: dataDirOf(values.data, around),
    http: values.http ?? ":8080",
    domain: values.domain ?? null,
    json: values.json ?? false,
    insecureNoSandbox: values["insecure-no-sandbox"] ?? false,
  };
}

/** Options of `fazt proc init`. */
export function claimOptions(args: readonly string[], around: Surroundings): ClaimOptions {
  const values = read(args, claimFlags);
  const missing = (["domain", "email"] as const).find((name) => values[name] === undefined);
  if (missing !== undefined) {
    throw new SysError("EINVAL", `missing flag "--${missing}"`, {
      hint: "fazt proc init --domain D --email E --root-pass-file F",
    });
  }
  return {
    dataDir: dataDirOf(values.data, around),
    domain: values.domain ?? "",
    email: values.email ?? "",
    rootPassFile: values["root-pass-file"] ?? null,
    json: values.json ?? false,
  };
}
