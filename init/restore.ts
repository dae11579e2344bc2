/**
 * `fazt storage restore FILE` and `fazt storage verify FILE`: a backup into a data directory no
 * kernel runs on, or only looked through. Nothing of the directory changes before all of the
 * backup has been verified.
 */
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { surroundings } from "../kernel/data-dir.ts";
import { type Errno, isErrno, SysError } from "../kernel/errno.ts";
import { realMachine } from "../kernel/machine.ts";
import { findSandbox, type Sandbox } from "../kernel/proc/sandbox/mod.ts";
import { type EncloseCheck, restoreBackup, verifyBackup } from "../kernel/storage/mod.ts";
import { launcher } from "./launcher.ts";
import { type RestoreCommand, restoreOptions } from "./options.ts";

/** A failure of a file this command was given. */
function cannotRead(path: string, error: unknown): SysError {
  const raw = (error as { code?: unknown } | null)?.code;
  const code: Errno = isErrno(raw) ? raw : "EIO";
  return new SysError(code, `cannot read "${path}": ${(error as Error).message}`, { cause: error });
}

/** The bytes of a file this command was given. */
export function readWhole(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/** The backup's bytes as they come. */
async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  if (path === "-") return yield* Bun.stdin.stream();
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
      yield piece as Uint8Array;
    }
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function unlockOf({ passphraseFile, identityFile }: RestoreCommand) {
  const lines = identityFile === null ? [] : readWhole(identityFile).toString("utf8").split("\n");
  const identities = lines.map((line) => line.trim()).filter((line) => /^[^#]/.test(line));
  const passphrase =
    passphraseFile === null
      ? null
      : readWhole(passphraseFile)
          .toString("utf8")
          .replace(/\r?\n$/, "");
  return { passphrase, identities };
}

/** The machine key in a file. EINVAL when it is none. */
export function keyOf(path: string | null): Uint8Array | null {
  if (path === null) return null;
  const bytes = readWhole(path);
  if (bytes.length === 32) return bytes;
  // As `security key show` writes it, with its name or as JSON.
  const text = bytes.length > 100 ? "" : new TextDecoder().decode(bytes);
  const [, shown] = /(?:^|[\s"])([A-Za-z0-9+/]{43}=)(?:$|[\s"])/.exec(text) ?? [];
  const key = shown === undefined ? bytes : Uint8Array.fromBase64(shown);
  if (key.length === 32) return key;
  throw new SysError("EINVAL", `cannot use "${path}" as machine key: ${key.length} bytes, not 32`, {
    hint: "give the machine.key of the data directory that was backed up",
  });
}

const words = {
  backup: "the machine key is restored",
  given: "with the machine key you gave",
  kept: "with the machine key that was there",
  absent: "WITHOUT a machine key: its secrets wait for fazt security key set",
} as const;

function tell(command: RestoreCommand, json: object, text: string): number {
  process.stdout.write(`${command.json ? JSON.stringify(json) : text}\n`);
  return 0;
}

/** The sandbox what strangers may have made is looked through in, found when it is needed. */
export function readerIn(runDir: string) {
  let sandbox: Sandbox | null = null;
  const enclose: EncloseCheck = (dir, fileBytes) => {
    const options = { insecure: true, runDir, machine: realMachine() };
    sandbox = findSandbox(launcher(), options);
    if (sandbox.kind === "none") process.stderr.write(`${unprotected}\n`);
    return sandbox.encloseReader({ dir, life: "backup-reader", fileBytes });
  };
  return { enclose, close: async () => await sandbox?.close() };
}

const unprotected = "note: no sandbox on this host: what is restored is looked through without one";

/** `storage restore`. */
export async function restore(args: readonly string[]): Promise<number> {
  const command = restoreOptions(args, surroundings());
  const { dataDir, force, file } = command;
  const reader = readerIn(join(dataDir, "run"));
  const { enclose } = reader;
  const options = { dataDir, force, key: keyOf(command.keyFile), enclose, ...unlockOf(command) };
  const { key, createdAt, sizeBytes, sections, unlocked } = await restoreBackup(
    bytesOf(file),
    options,
  ).finally(reader.close);
  const at = new Date(createdAt).toISOString();
  const json = { dataDir, createdAt, sizeBytes, sections: sections.length, key, unlocked };
  return tell(command, json, `restored ${dataDir} as it was at ${at}, ${words[key]}`);
}

/** `storage verify`. */
export async function verify(args: readonly string[]): Promise<number> {
  const command = restoreOptions(args, surroundings());
  const header = await verifyBackup(bytesOf(command.file), unlockOf(command));
  const at = new Date(header.createdAt).toISOString();
  const lines = [`whole: made at ${at} by fazt ${header.fazt}`, ...header.sections];
  return tell(command, header, lines.join("\n  "));
}
