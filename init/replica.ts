/**
 * `fazt driver replica restore`: a whole machine from its replica into a data directory on which no
 * kernel runs: an empty one with `--from`, or one that replicates and so knows its replica itself.
 * The machine key is in no replica: without it secrets are to be set anew.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../cli/usage.ts";
import { boot } from "../kernel/boot.ts";
import { surroundings } from "../kernel/data-dir.ts";
import {
  type MachinePlan,
  restoreMachine,
  type Target,
  targetOf,
  timeOf,
} from "../kernel/driver/mod.ts";
import { launcher } from "./launcher.ts";
import { type ReplicaCommand, replicaOptions } from "./options.ts";
import { keyOf, readerIn, readWhole } from "./restore.ts";
import { version } from "./version.ts";

/** Where the data directory itself says its replica is. */
async function ownTarget(dataDir: string): Promise<Target> {
  if (!existsSync(join(dataDir, "data.db"))) {
    throw new UsageError('missing flag "--from"', "the data directory holds no machine: name one");
  }
  const booted = await boot({ dataDir, version, launcher: launcher() });
  try {
    return booted.kernel.driver.replica.target();
  } finally {
    await booted.close();
  }
}

function namedTarget(url: string, command: ReplicaCommand): Target {
  const secret =
    command.secretFile === null
      ? undefined
      : readWhole(command.secretFile)
          .toString("utf8")
          .replace(/\r?\n$/, "");
  const { endpoint, region, keyId } = command;
  return targetOf({
    url,
    endpoint: endpoint ?? undefined,
    region: region ?? undefined,
    keyId: keyId ?? undefined,
    secret,
  });
}

/** The command. */
export async function restoreReplica(args: readonly string[]): Promise<number> {
  const command = replicaOptions(args, surroundings());
  const { dataDir, dryRun, force, from } = command;
  const at = command.at === null ? null : timeOf(command.at);
  const key = keyOf(command.keyFile);
  const target = from === null ? await ownTarget(dataDir) : namedTarget(from, command);
  const { enclose, close } = readerIn(join(dataDir, "run"));
  const how = { target, dataDir, at, dryRun, force, key, enclose };
  const plan = await restoreMachine(how).finally(close);
  const json = { dataDir, dryRun, ...shown(plan) };
  const keyed = key !== null || existsSync(join(dataDir, "machine.key"));
  process.stdout.write(command.json ? `${JSON.stringify(json)}\n` : told(plan, dryRun, keyed));
  return 0;
}

const shown = ({ plans, absent }: MachinePlan) => ({
  databases: plans.map(({ database, generation, snapshot, indexes, endsAt, storedBytes }) => ({
    database,
    generation,
    snapshotAt: snapshot.at,
    indexes: indexes.length,
    endsAt,
    storedBytes,
  })),
  absent,
});

function told(plan: MachinePlan, dryRun: boolean, keyed: boolean): string {
  const lines = shown(plan).databases.map(({ database, endsAt, storedBytes }) => {
    const as = new Date(endsAt).toISOString();
    return `${dryRun ? "would restore" : "restored"} ${database} as of ${as}, ${storedBytes} bytes`;
  });
  lines.push(...plan.absent.map((name) => `${name} did not exist then`));
  if (!keyed) lines.push("WITHOUT a machine key: its secrets wait for fazt security key set");
  return `${lines.join("\n")}\n`;
}
