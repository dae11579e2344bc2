/**
 * Every command that is no call of the kernel: those that begin before a kernel is there, those
 * that work with files of this computer, and those about the command itself.
 */
import { appCommands } from "./app.ts";
import { backupCommands } from "./backup.ts";
import type { LocalCommand } from "./command.ts";
import { copyCommand } from "./copy.ts";
import { installCommands } from "./install.ts";
import { loginCommands } from "./login.ts";
import { mcpCommand } from "./mcp.ts";
import { mountCommand } from "./mount/command.ts";
import { pageCommands } from "./page.ts";
import { parameter } from "./parameter.ts";
import { upgradeCommands } from "./upgrade.ts";
import { UsageError } from "./usage.ts";

/** A command that init brings; described here, parsed there. */
function brought(command: Omit<LocalCommand, "run" | "raw">): LocalCommand {
  const name = command.words.join(" ");
  return {
    ...command,
    raw: true,
    run: async ({ brought }, { raw }) => {
      const run = brought[name];
      if (run !== undefined) return await run([...raw]);
      throw new UsageError(`"fazt ${name}" is not part of this program`);
    },
  };
}

const data = parameter("data", "data directory (else FAZT_DATA, else the usual place)");
const json = parameter("json", "one JSON line", { kind: "boolean" });

const start = brought({
  words: ["proc", "start"],
  summary: "Start the kernel in the foreground",
  manual:
    "Says where it listens and, on a machine without an owner, its setup code; then runs until " +
    "SIGTERM or SIGINT. The data directory is made when it is not there. Two kernels never run " +
    "on one: the second is refused and names the first. The usual place of data is /var/lib/fazt " +
    "for root, else fazt in the XDG data directory. HTTPS answers at once with a certificate of " +
    "the machine's own signing; without --https it listens beside --http.",
  parameters: [
    data,
    parameter("http", "address of the HTTP listener; :0 picks a port", { default: ":8080" }),
    parameter("https", "address of the HTTPS listener, or off", { default: ":8443" }),
    parameter("domain", "domain of this machine; apps answer at <app>.<domain>"),
    json,
    parameter("insecureNoSandbox", "run apps without a sandbox where there is none", {
      kind: "boolean",
    }),
  ],
  examples: [
    { say: "Try it on this computer", line: "proc start" },
    { say: "For a test", line: "proc start --data /tmp/fazt --http 127.0.0.1:0 --json" },
  ],
});

const init = brought({
  words: ["proc", "init"],
  summary: "Claim this machine without the setup wizard",
  manual:
    "Works on a data directory whose kernel is not running, and through the control socket when " +
    "it is. A machine is claimed once.",
  parameters: [
    data,
    parameter("domain", "domain of this machine", { required: true }),
    parameter("email", "the owner's mail address", { required: true }),
    parameter("rootPass", "the root password, at least 10 characters", {
      secret: true,
      fromFile: true,
    }),
    json,
  ],
  examples: [
    {
      say: "Claim it for a domain",
      line: "proc init --domain example.com --email me@example.com --root-pass-file pass.txt",
    },
  ],
});

const unlock = [
  parameter("passphraseFile", "file with the passphrase of an encrypted backup"),
  parameter("identityFile", "file with the age identity it was encrypted for"),
];
const backupFile = parameter("file", "the backup; - is standard input", {
  required: true,
  positional: true,
});

const restore = brought({
  words: ["storage", "restore"],
  summary: "Put a backup into a data directory: all of it, or nothing",
  manual:
    "Works without a kernel, on an empty directory, or over what is there with --force. All of " +
    "the backup is verified before anything is replaced. A backup that is not encrypted holds no " +
    "machine key: give the key with --key-file, or put machine.key into the directory afterwards.",
  parameters: [
    backupFile,
    data,
    parameter("force", "replace what the directory holds", { kind: "boolean" }),
    parameter("keyFile", "the machine.key that seals the backup's secrets"),
    ...unlock,
    json,
  ],
  examples: [
    { say: "On a new machine", line: "storage restore fazt.bak --passphrase-file pass.txt" },
    { say: "Go back", line: "storage restore fazt.bak --data ./state --force" },
  ],
});

const verify = brought({
  words: ["storage", "verify"],
  summary: "Check every byte of a backup, and restore nothing",
  parameters: [backupFile, ...unlock, json],
  examples: [{ say: "Is it whole?", line: "storage verify fazt.bak" }],
});

const restoreReplica = brought({
  words: ["driver", "replica", "restore"],
  summary: "Restore a whole machine from its replica: all of it, or nothing",
  manual:
    "Works without a kernel: into an empty directory with --from, or over a directory that " +
    "replicates with --force, which knows its replica itself. Every database is made and checked " +
    "before anything is replaced. The machine key is in no replica: give it with --key-file, or " +
    "put machine.key into the directory. One app alone: fazt driver replica restore-app.",
  parameters: [
    parameter("from", "s3://BUCKET/PREFIX or file:///DIRECTORY; else the directory's own replica"),
    parameter("endpoint", "address of an S3 server not Amazon's"),
    parameter("region", "region"),
    parameter("keyId", "access key id"),
    parameter("secret", "secret access key", { secret: true, fromFile: true }),
    parameter("at", "time, ISO 8601 or Unix ms; else the latest"),
    parameter("dryRun", "only say what would be done", { kind: "boolean" }),
    data,
    parameter("force", "replace what the directory holds", { kind: "boolean" }),
    parameter("keyFile", "the machine.key that seals the secrets"),
    json,
  ],
  examples: [
    {
      say: "On a new machine",
      line: "driver replica restore --from s3://backups/home --region eu-central-1 --key-id ID --secret-file s.txt",
    },
    { say: "Go back to noon", line: "driver replica restore --at 2026-11-20T12:00:00Z --force" },
  ],
});

const hash = brought({
  words: ["security", "hash"],
  summary: "Make the hash of a password or setup code for a user-data document",
  manual:
    "The hash (argon2id) goes into claim.passwordHash or setupCodeHash of the document that sets a " +
    "new machine up; the secret itself stays with you. Works without a kernel.",
  parameters: [
    parameter("password", "the password or code, at least 10 characters", {
      secret: true,
      fromFile: true,
    }),
    json,
  ],
  examples: [{ say: "Of what a file holds", line: "security hash --password-file pass.txt" }],
});

const idle = parameter("idle", "end after so long without a key, such as 15m");

const console = brought({
  words: ["console"],
  summary: "Be this machine's console: setup, dashboard, login, shell",
  manual:
    "What the appliance shows on its screen and its serial line. A machine without an owner shows " +
    "its addresses and setup code and can be claimed here; a claimed one shows how it is, and Enter " +
    "asks for the root password. Needs no more than a terminal; on a dumb one lines are only added.",
  parameters: [
    data,
    idle,
    parameter("commandLine", "what the boot loader told the kernel", { default: "/proc/cmdline" }),
  ],
  examples: [{ say: "Look at it on any terminal", line: "console" }],
});

const appliance = brought({
  words: ["init"],
  summary: "Be the appliance's one service",
  manual:
    "What systemd starts on a machine that was booted from fazt's image: proc start on ports 80 " +
    "and 443, with the network, the boot and the stop told on every console. A boot that fails " +
    "leaves the machine in recovery and says why.",
  parameters: [data],
  examples: [{ say: "What the unit fazt.service runs", line: "init" }],
});

const shell: LocalCommand = {
  words: ["shell"],
  summary: "Type commands one after another, without the word fazt",
  manual:
    "Completes with Tab and remembers what was typed. Ctrl-C ends the running command, Ctrl-D or " +
    "exit the shell. When standard input is no terminal, its lines are run as they are.",
  parameters: [idle],
  examples: [{ say: "Begin", line: "shell" }],
  run: async (context, args) => (await import("./shell.ts")).shell(context, args),
};

/** All of them. */
export function localCommands(): LocalCommand[] {
  return [
    start,
    init,
    ...upgradeCommands,
    ...installCommands,
    ...appCommands,
    copyCommand,
    mountCommand,
    ...backupCommands,
    restore,
    verify,
    restoreReplica,
    hash,
    ...loginCommands,
    console,
    appliance,
    shell,
    mcpCommand,
    ...pageCommands,
  ];
}
