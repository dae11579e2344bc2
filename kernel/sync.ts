/**
 * What is written is on the disk: the one place that asks the host for that by a path.
 *
 * Rule: never for a database that this process has open in SQLite: closing any descriptor of its
 * file drops SQLite's locks (POSIX).
 */
import { closeSync, fsyncSync, openSync } from "node:fs";

/** Puts a file's bytes, or a directory's names, on the disk. What the host refuses with. */
export function syncPath(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
