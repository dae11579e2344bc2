/**
 * What `fazt proc start`, `proc init` and `storage restore` are told: flags, then the environment, then defaults
 * (contract). Pure: the environment comes in as an argument.
 */
import { parseArgs } from "node:util";
import { spanMs } from "../cli/unit.ts";
import { UsageError } from "../cli/usage.ts";
import { dataDirOf, type Surroundings } from "../kernel/data-dir.ts";
import { nearest } from "../kernel/nearest.ts";

export interface StartOptions {
  readonly dataDir: string;
  readonly http: string;
  /** Null: no HTTPS. */
  readonly https: string | null;
  /** Whether somebody asked for just this address; else another program's port is no failure. */
  readonly httpsAsked: boolean;
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

export interface ConsoleOptions {
  readonly dataDir: string;
  /** A shell nobody types into ends after so long, milliseconds. */
  readonly idleMs: number;
  /** Path of what the boot loader told the kernel. */
  readonly commandLine: string;
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

const startFlags = {
  data: text,
  http: text,
  https: text,
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

export interface RestoreCommand {
  /** The backup; `-` is standard input. */
  readonly file: string;
  readonly dataDir: string;
  readonly force: boolean;
  readonly keyFile: string | null;
  readonly passphraseFile: string | null;
  readonly identityFile: string | null;
  readonly json: boolean;
}

const restoreFlags = {
  data: text,
  force: flag,
  "key-file": text,
  "passphrase-file": text,
  "identity-file": text,
  json: flag,
} as const;

export interface ReplicaCommand {
  /** Where the replica is; null: the data directory says. */
  readonly from: string | null;
  readonly endpoint: string | null;
  readonly region: string | null;
  readonly keyId: string | null;
  readonly secretFile: string | null;
  readonly at: string | null;
  readonly dryRun: boolean;
  readonly force: boolean;
  readonly keyFile: string | null;
  readonly dataDir: string;
  readonly json: boolean;
}

const replicaFlags = {
  data: text,
  from: text,
  endpoint: text,
  region: text,
  "key-id": text,
  "secret-file": text,
  at: text,
  "dry-run": flag,
  force: flag,
  "key-file": text,
  json: flag,
} as const;

const consoleFlags = { data: text, idle: text, "command-line": text } as const;

/** Parses flags; anything unknown is a usage error that names it. */
function read<const F extends Record<string, { type: "string" | "boolean" }>>(
  args: readonly string[],
  options: F,
  positionals = 0,
) {
  for (const arg of args) {
    const name = /^--([^=]+)/.exec(arg)?.[1];
    if (name === undefined || name in options) continue;
    const guess = nearest(name, Object.keys(options));
    const hint = guess === null ? "see --help" : `did you mean "--${guess}"?`;
    throw new UsageError(`unknown flag "--${name}"`, hint);
  }
  try {
    const allowPositionals = positionals > 0;
    const parsed = parseArgs({ args: [...args], options, allowPositionals });
    if (parsed.positionals.length === positionals) return parsed;
  } catch (error) {
    throw new UsageError((error as Error).message, "see --help");
  }
  throw new UsageError(`${positionals} argument wanted`, "see --help");
}

/** Where HTTPS listens when nobody says: beside HTTP, on the same interface. */
function httpsBeside(http: string | undefined): string {
  if (http === undefined) return ":8443";
  const colon = http.lastIndexOf(":");
  return `${http.slice(0, Math.max(colon, 0))}:${http.slice(colon + 1) === "0" ? "0" : "8443"}`;
}

/** Options of `fazt proc start`. */
export function startOptions(args: readonly string[], around: Surroundings): StartOptions {
  const { values } = read(args, startFlags);
  return {
    dataDir: dataDirOf(values.data, around),
    http: values.http ?? ":8080",
    https: values.https === "off" ? null : (values.https ?? httpsBeside(values.http)),
    httpsAsked: values.https !== undefined,
    domain: values.domain ?? null,
    json: values.json ?? false,
    insecureNoSandbox: values["insecure-no-sandbox"] ?? false,
  };
}

/** Options of `fazt proc init`. */
export function claimOptions(args: readonly string[], around: Surroundings): ClaimOptions {
  const { values } = read(args, claimFlags);
  const missing = (["domain", "email"] as const).find((name) => values[name] === undefined);
  if (missing !== undefined) {
    const hint = "usage: fazt proc init --domain D --email E --root-pass-file F";
    throw new UsageError(`missing flag "--${missing}"`, hint);
  }
  return {
    dataDir: dataDirOf(values.data, around),
    domain: values.domain ?? "",
    email: values.email ?? "",
    rootPassFile: values["root-pass-file"] ?? null,
    json: values.json ?? false,
  };
}

/** Options of `fazt storage restore FILE` and `fazt storage verify FILE`. */
export function restoreOptions(args: readonly string[], around: Surroundings): RestoreCommand {
  const { values, positionals } = read(args, restoreFlags, 1);
  return {
    file: positionals[0] ?? "-",
    dataDir: dataDirOf(values.data, around),
    force: values.force ?? false,
    keyFile: values["key-file"] ?? null,
    passphraseFile: values["passphrase-file"] ?? null,
    identityFile: values["identity-file"] ?? null,
    json: values.json ?? false,
  };
}

/** Options of `fazt driver replica restore`. */
export function replicaOptions(args: readonly string[], around: Surroundings): ReplicaCommand {
  const { values } = read(args, replicaFlags);
  return {
    from: values.from ?? null,
    endpoint: values.endpoint ?? null,
    region: values.region ?? null,
    keyId: values["key-id"] ?? null,
    secretFile: values["secret-file"] ?? null,
    at: values.at ?? null,
    dryRun: values["dry-run"] ?? false,
    force: values.force ?? false,
    keyFile: values["key-file"] ?? null,
    dataDir: dataDirOf(values.data, around),
    json: values.json ?? false,
  };
}

/** Options of `fazt security hash`. */
export function hashOptions(args: readonly string[]): {
  /** Null: read standard input. */
  readonly passwordFile: string | null;
  readonly json: boolean;
} {
  const { values } = read(args, { "password-file": text, json: flag });
  return { passwordFile: values["password-file"] ?? null, json: values.json ?? false };
}

/** Options of `fazt console`. */
export function consoleOptions(args: readonly string[], around: Surroundings): ConsoleOptions {
  const { values } = read(args, consoleFlags);
  return {
    dataDir: dataDirOf(values.data, around),
    idleMs: spanMs(values.idle ?? "15m", "--idle"),
    commandLine: values["command-line"] ?? "/proc/cmdline",
  };
}
