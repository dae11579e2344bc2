/**
 * The front page of the process beside an app: `fazt volume-child` does one task on the app's SQL
 * volume, in the sandbox the app itself would be in, and ends. It reads the job from standard
 * input and writes the outcome to standard output.
 *
 * Rules: its first byte, a line's end, says that its sandbox is complete; the kernel never opens a
 * volume, so a long statement holds up nobody and its end is a kill; the database is closed before
 * the process ends, because the runtime would otherwise cut the log under a replicator.
 */
import { writeSync } from "node:fs";
import { migrate, pendingIn } from "./apply.ts";
import { asRefusal, openReader, openWriter } from "./connection.ts";
import { runStatement } from "./statement.ts";
import type { Job, Outcome } from "./task.ts";

function perform({ file, quotaBytes, task }: Job): Outcome {
  const reads = task.kind === "pending" || (task.kind === "statement" && !task.write);
  const db = reads ? openReader(file) : openWriter(file, quotaBytes);
  try {
    if (task.kind === "migrate") return { kind: "applied", names: migrate(db, task) };
    if (task.kind === "pending") return { kind: "applied", names: pendingIn(db, task.files) };
    return { kind: "rows", rows: runStatement(db, task) };
  } finally {
    db.close();
  }
}

/** The life of the process. */
export async function runVolumeChild(): Promise<void> {
  writeSync(1, "\n");
  const job = (await Bun.stdin.json()) as Job;
  let outcome: Outcome;
  try {
    outcome = perform(job);
  } catch (error) {
    outcome = asRefusal(error);
  }
  const bytes = Buffer.from(JSON.stringify(outcome));
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}
