/**
 * Why the machine is not up: written by `fazt init` when a boot target fails, read by the console,
 * which says it and offers what can be done. In `/run`, so that it never outlives the boot.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export interface Trouble {
  /** The boot target that failed, such as `storage`. */
  readonly target: string;
  /** The errno and the sentence of the refusal, and what to do about it. */
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  /** Unix ms. */
  readonly at: number;
}

/** The directory of the boot: `FAZT_RUN`, else `/run/fazt`. */
function troublePath(env: Readonly<Record<string, string | undefined>>): string {
  return join(env["FAZT_RUN"] ?? "/run/fazt", "trouble.json");
}

/** Says why the machine is not up; null: it is. */
export function tellTrouble(
  trouble: Trouble | null,
  env: Readonly<Record<string, string | undefined>> = process.env,
): void {
  const path = troublePath(env);
  if (trouble === null) {
    rmSync(path, { force: true });
    return;
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, JSON.stringify(trouble), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** What was said last; null when nothing is wrong. */
export function readTrouble(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Trouble | null {
  try {
    return JSON.parse(readFileSync(troublePath(env), "utf8")) as Trouble;
  } catch {
    // None, or half of one: the next look will tell.
    return null;
  }
}
