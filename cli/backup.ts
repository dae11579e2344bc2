/**
 * `fazt storage backup FILE`: the bytes of a backup into a file of this computer, which is there
 * whole or not at all. The way back is `fazt storage restore`, which needs no kernel (init).
 */
import { getPriority, setPriority } from "node:os";
import type { LocalCommand } from "./command.ts";
import { answer, type Context, clientOf } from "./context.ts";
import { ownerOnly, writeWhole } from "./file.ts";
import { parameter } from "./parameter.ts";
import { withSecrets } from "./secret.ts";
import { bytesText } from "./unit.ts";

/** Niceness of this command's work, most of which is copying. */
const besideNiceness = 10;

const parameters = [
  parameter("file", "where it is written", { required: true, positional: true }),
  parameter("recipient", "age recipient (age1…) who can open it; may be repeated", { list: true }),
  parameter("passphrase", "what opens it", { secret: true, fromFile: true }),
];

async function runBackup(context: Context, args: Parameters<LocalCommand["run"]>[1]) {
  const secret = { parameters, args, confirm: true };
  const { file, recipient, ...rest } = await withSecrets(context.terminal, secret);
  const path = String(file);
  const recipients = (recipient as string[] | undefined) ?? [];
  const client = clientOf(context, args.globals);
  const input = { ...rest, recipients };
  // On the machine itself this command's work is one more thing beside those who are served.
  if (client.target.kind === "local") setPriority(Math.max(getPriority(), besideNiceness));
  const bytes = client.bytes("storage.backup", input, { signal: context.signal });
  const sizeBytes = await writeWhole(path, bytes, ownerOnly);
  const encrypted = recipients.length > 0 || "passphrase" in rest;
  const text = `wrote ${path}, ${bytesText(sizeBytes)}`;
  const lacking = encrypted
    ? ""
    : "\nwithout the machine key, which opens its secrets: keep it elsewhere (fazt security key show)";
  await answer(context, args.globals, {
    json: { file: path, sizeBytes, encrypted },
    text: text + lacking,
  });
  return 0;
}

export const backupCommands: readonly LocalCommand[] = [
  {
    words: ["storage", "backup"],
    summary: "Write everything into one file, while the machine goes on",
    manual:
      "The database and every app's volume as they are at this moment. With a recipient or a " +
      "passphrase the file is encrypted (age) and holds the machine key too, so that it restores " +
      "everything; without, keep machine.key elsewhere: it opens the secrets in the backup.",
    parameters,
    examples: [
      { say: "Everything, sealed", line: "storage backup fazt.bak --passphrase-file pass.txt" },
      { say: "From another machine", line: "storage backup fazt.bak --host example.com" },
    ],
    run: runBackup,
  },
];
