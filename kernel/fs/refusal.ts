/**
 * Refusals of file systems. A file system knows paths relative to its mount; whoever called knows
 * the whole tree. So a refusal keeps its parts, and the tree says it again with the full path.
 */

import type { Errno } from "../errno.ts";
import { SysError, type SysErrorOptions } from "../errno.ts";
import { join, shown } from "./path.ts";

/** What was refused: `cannot <action> "<path>": <state>`. */
export interface Refused {
  readonly action: string;
  readonly path: string;
  readonly state: string;
}

/** A refusal about one path of one file system. */
export class PathError extends SysError {
  readonly refused: Refused;

  constructor(code: Errno, refused: Refused, options: SysErrorOptions = {}) {
    super(code, `cannot ${refused.action} ${shown(refused.path)}: ${refused.state}`, options);
    this.refused = refused;
  }

  /** The same refusal for a caller to whom this file system is at `mountPoint`. */
  under(mountPoint: string): PathError {
    const path = join(mountPoint, this.refused.path);
    return new PathError(
      this.code,
      { ...this.refused, path },
      { cause: this.cause, ...(this.hint === null ? {} : { hint: this.hint }) },
    );
  }
}

/** Runs work of a file system mounted at `mountPoint`, so that refusals name full paths. */
export async function at<T>(mountPoint: string, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof PathError ? error.under(mountPoint) : error;
  }
}

export const noEntry = (action: string, path: string): PathError =>
  new PathError("ENOENT", { action, path, state: "no such file or directory" });

export const isDirectory = (action: string, path: string): PathError =>
  new PathError("EISDIR", { action, path, state: "is a directory" });

export const notDirectory = (action: string, path: string): PathError =>
  new PathError("ENOTDIR", { action, path, state: "not a directory" });

export const readOnly = (action: string, path: string): PathError =>
  new PathError(
    "EROFS",
    { action, path, state: "read-only file system" },
    { hint: "write below /home or the app's /data" },
  );
