/**
 * `fazt security hash`: the argon2id hash of a password or setup code, for a user-data document.
 * Works anywhere, without a kernel; the secret comes from a file or from standard input.
 */
import { readNewSecret } from "../cli/secret.ts";
import { realTerminal } from "../cli/terminal.ts";
import { hashPassword } from "../kernel/security/mod.ts";
import { hashOptions } from "./options.ts";

/** The command. EINVAL when the password is too weak. */
export async function hash(args: readonly string[]): Promise<number> {
  const { passwordFile, json } = hashOptions(args);
  const password = await readNewSecret(realTerminal(), passwordFile, { what: "password" });
  const made = await hashPassword(password);
  process.stdout.write(json ? `${JSON.stringify({ hash: made })}\n` : `${made}\n`);
  return 0;
}
