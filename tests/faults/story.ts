/**
 * What happened around a kill, so that a run that fails explains itself: what the test did and when,
 * every request to the store (when it came, how long it took, what was done to it), why each
 * generation of the replica began, and what the replicator remembered.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { S3, Went } from "../s3.ts";

export class Story {
  readonly #events: { readonly atMs: number; readonly text: string }[] = [];

  /** Notes what the test does now. */
  note(text: string): void {
    this.#events.push({ atMs: performance.now(), text });
  }

  /** Everything from `fromMs` on, in order; times are milliseconds from `zeroMs`. */
  tell(s3: S3, fromMs: number, zeroMs: number): string {
    const asked = s3.asked.map((went) => ({ atMs: went.atMs, text: textOf(went) }));
    return [...this.#events, ...asked]
      .filter(({ atMs }) => atMs >= fromMs)
      .toSorted((a, b) => a.atMs - b.atMs)
      .map(({ atMs, text }) => `${String(Math.round(atMs - zeroMs)).padStart(7)} ms  ${text}`)
      .join("\n");
  }
}

function textOf({ method, path, atMs, endedMs, status, fault }: Went): string {
  const took = endedMs === null ? "still open" : `${Math.round(endedMs - atMs)} ms`;
  const done = fault === null ? "" : `, fault ${fault instanceof Promise ? "waits" : fault}`;
  return `${method} ${decodeURIComponent(path)}: ${status ?? "no reply"}, ${took}${done}`;
}

/** Why the generations of a replica began, oldest first: `data.db 0: no place in the log …`. */
export function generationsOf(s3: S3): string[] {
  const names = readdirSync(s3.directory, { recursive: true, encoding: "utf8" });
  return names
    .filter((name) => /generation\.json.*_object$/.test(name))
    .map((name) => JSON.parse(readFileSync(join(s3.directory, name), "utf8")))
    .toSorted((a, b) => a.startedAt - b.startedAt)
    .map(({ startedAt, database, generation, reason }) => {
      return `${new Date(startedAt).toISOString()} ${database} ${generation}: ${reason}`;
    });
}

/** What the replicator of a data directory remembers. */
export function memoriesOf(dataDir: string): string[] {
  const folder = join(dataDir, "run/replica");
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".json"))
    .map((name) => `${name}: ${readFileSync(join(folder, name), "utf8").slice(0, 2_000)}`);
}
