/**
 * Paths of the tree and of manifests: the only place where a name is judged, and how a path is
 * refused.
 *
 * Rules: a VFS path is absolute and normal (no `.`, no empty component, no trailing slash but for
 * the root); `..` and NUL are refused, never resolved, so that no spelling leaves a mount. A
 * manifest path is relative and exact: it is stored as given or refused. Unicode is kept as it is.
 * A file system knows paths relative to its mount, its caller the whole tree: so a refusal keeps
 * its parts, and the tree says it again with the full path (`at`).
 */

import { type Errno, SysError, type SysErrorOptions } from "../errno.ts";
import { limits } from "./limits.ts";

const encoder = new TextEncoder();

/** Why a component is not a name, or null when it is one. */
function fault(name: string): string | null {
  if (name === "..") return 'holds ".."';
  if (name.includes("\0")) return "holds a NUL byte";
  if (!name.isWellFormed()) return "is not well-formed Unicode";
  if (name.length * 3 <= limits.nameBytesMax) return null;
  return encoder.encode(name).length > limits.nameBytesMax
    ? `has a name longer than ${limits.nameBytesMax} bytes`
    : null;
}

function tooLong(path: string): boolean {
  if (path.length > limits.pathBytesMax) return true;
  return path.length * 3 > limits.pathBytesMax && encoder.encode(path).length > limits.pathBytesMax;
}

/** A path as it may be repeated in a message: printable and short. */
export function shown(path: string): string {
  const text = JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
  return text;
}

function refuse(path: string, state: string, hint: string): never {
  throw new SysError("EINVAL", `cannot use path ${shown(path)}: ${state}`, { hint });
}

/** The normal form of an absolute path. EINVAL for anything that is not one. */
export function normalise(path: string): string {
  if (!path.startsWith("/")) {
    refuse(path, "not absolute", 'start it with "/", such as "/home/notes.txt"');
  }
  if (tooLong(path)) {
    refuse(path, `longer than ${limits.pathBytesMax} bytes`, "use a shorter path");
  }
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "" || name === ".") continue;
    const state = fault(name);
    if (state !== null) refuse(path, state, "give the full path without it");
    names.push(name);
  }
  return `/${names.join("/")}`;
}

/** The components of a normal path; none for the root. */
export function components(path: string): string[] {
  return path === "/" ? [] : path.slice(1).split("/");
}

/** The directory a normal path is in; the root is in itself. */
export function parent(path: string): string {
  const cut = path.lastIndexOf("/");
  return cut <= 0 ? "/" : path.slice(0, cut);
}

/** The last component of a normal path; "" for the root. */
export function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A path below a directory: `join("/apps", "/x")` is `/apps/x`. Both normal. */
export function join(directory: string, below: string): string {
  if (directory === "/") return below;
  return below === "/" ? directory : directory + below;
}

/** What is left of a normal path below a directory (`/` for itself), or null when it is outside. */
export function below(directory: string, path: string): string | null {
  if (directory === "/") return path;
  if (path === directory) return "/";
  return path.startsWith(`${directory}/`) ? path.slice(directory.length) : null;
}

/**
 * Why a string cannot be a path of a manifest, or null when it can: relative, `/`-separated, no
 * empty, `.` or `..` component, no NUL, no backslash (a separator on the machine it came from).
 */
export function manifestPathFault(path: string): string | null {
  if (path === "") return "is empty";
  if (path.startsWith("/")) return "is absolute";
  if (path.includes("\\")) return "holds a backslash";
  if (tooLong(path)) return `is longer than ${limits.pathBytesMax} bytes`;
  for (const name of path.split("/")) {
    if (name === "") return "has an empty component";
    if (name === ".") return 'holds "."';
    const state = fault(name);
    if (state !== null) return state;
  }
  return null;
}

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
