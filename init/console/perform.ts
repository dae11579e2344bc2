/**
 * What the console does: each dialogue's answers as the call they stand for. A refusal is thrown as
 * SysError and told in the dialogue.
 */
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "../../cli/client.ts";
import { isErrno, SysError } from "../../kernel/errno.ts";
import type { FormKind } from "./form.ts";
import type { Host } from "./host.ts";

type Values = Readonly<Record<string, string>>;

export interface Desk {
  readonly client: Client;
  readonly host: Host;
  readonly dataDir: string;
  /** The command line that starts this program again. */
  readonly program: readonly string[];
}

type Perform = (desk: Desk, values: Values) => Promise<string | null>;

async function claim({ client }: Desk, { domain, email, rootPass }: Values): Promise<string> {
  await client.json("security.claim", { domain, email, rootPass });
  return `This machine is yours: os.${domain} is its OS shell. Log in with the root password.`;
}

/** The socket's peer is the owner anyway: the password is asked of security, and nothing is kept. */
async function login({ client }: Desk, { password }: Values): Promise<null> {
  const response = await client.raw("security.login", { password });
  const cookie = response.headers.getSetCookie()[0] ?? "";
  const session = decodeURIComponent(/=([^;]*)/.exec(cookie)?.[1] ?? "");
  await client.json("security.logout", { session });
  return null;
}

async function recover({ client }: Desk, { rootPass }: Values): Promise<string> {
  await client.json("security.recover", { password: rootPass });
  return "The root password is replaced; every session and token has ended.";
}

/** Writes a secret where only this user reads it, for the time of `use`. */
async function withFile<T>(
  dir: string,
  content: string | Uint8Array,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const path = join(dir, `secret.${process.pid}.${crypto.randomUUID()}`);
  writeFileSync(path, content, { mode: 0o600 });
  try {
    return await use(path);
  } finally {
    rmSync(path, { force: true });
  }
}

async function runRestore(desk: Desk, values: Values, files: readonly string[]): Promise<string> {
  const flags = (["from", "endpoint", "region", "keyId"] as const).flatMap((name) => {
    const spelled = name === "keyId" ? "--key-id" : `--${name}`;
    return values[name] ? [spelled, values[name]] : [];
  });
  const words = ["driver", "replica", "restore", ...flags, ...files, "--force"];
  const command = [...desk.program, ...words, "--data", desk.dataDir];
  const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "pipe"] });
  const [said, complained] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) === 0) return said.trim();
  const [, code, message = complained] = /^fazt: ([A-Z]+): (.*)/m.exec(complained) ?? [];
  throw new SysError(isErrno(code) ? code : "EIO", message);
}

/** Restores while no kernel runs, then starts it on what was restored. */
async function restore(desk: Desk, values: Values): Promise<string> {
  const key = Buffer.from(values["machineKey"] ?? "", "base64");
  if (key.length !== 0 && key.length !== 32) {
    throw new SysError("EINVAL", "cannot use this machine key: it is not 32 bytes of base64");
  }
  await desk.host.systemctl("stop", "fazt.service");
  try {
    return await withFile(tmpdir(), `${values["secret"] ?? ""}\n`, (secret) =>
      withFile(tmpdir(), key, (keyFile) => {
        const secrets = values["secret"] ? ["--secret-file", secret] : [];
        const keys = key.length === 32 ? ["--key-file", keyFile] : [];
        return runRestore(desk, values, [...secrets, ...keys]);
      }),
    );
  } finally {
    await desk.host.systemctl("start", "--no-block", "fazt.service");
  }
}

/** Through the kernel; where none answers, it is asked of the one that starts next. */
async function reset(desk: Desk, { confirm }: Values): Promise<string> {
  try {
    await desk.client.json("proc.reset", { confirm });
  } catch (error) {
    if (!(error instanceof SysError && error.code === "ECONNREFUSED")) throw error;
    (await import("../../kernel/storage/mod.ts")).askReset(desk.dataDir);
    await desk.host.systemctl("reboot");
  }
  return "Everything is erased when the machine starts again.";
}

const performs: Readonly<Record<FormKind, Perform>> = { claim, login, recover, restore, reset };

/** Does what a dialogue is for; answers what to tell. */
export function perform(desk: Desk, form: FormKind, values: Values): Promise<string | null> {
  return performs[form](desk, values);
}
