/**
 * The files of an app's folder, as they will be in the release.
 *
 * Rules: regular files only; a symbolic link stands for what it leads to, which must lie inside the
 * app; names are UTF-8 and hold no backslash; the count, the size of each and of all are bounded
 * while walking, so that a mistake is refused before anything is read or sent.
 */
import { lstatSync, readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { join, sep } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import type { Ignore } from "./ignore.ts";
import { limits } from "./limits.ts";

/** A file that will be deployed. */
export interface SourceFile {
  /** Relative, `/`-separated. */
  readonly path: string;
  /** Where it is on this machine. */
  readonly source: string;
  readonly sizeBytes: number;
  readonly mode: number;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function refuse(path: string, state: string, hint: string): never {
  throw new SysError("EINVAL", `cannot deploy ${JSON.stringify(path)}: ${state}`, { hint });
}

/** A name as text; the bytes of a file's name need not be any. */
function nameOf(bytes: Uint8Array, folder: string): string {
  let name: string;
  try {
    name = utf8.decode(bytes);
  } catch {
    const shown = new TextDecoder().decode(bytes);
    return refuse(folder + shown, "the name is not UTF-8", "rename it");
  }
  if (name.includes("\\")) refuse(folder + name, "the name holds a backslash", "rename it");
  return name;
}

function kindOf(stat: Stats): string {
  if (stat.isSocket()) return "a socket";
  if (stat.isFIFO()) return "a pipe";
  return "a device";
}

interface Walk {
  readonly root: string;
  readonly ignore: Ignore;
  readonly files: SourceFile[];
  sizeBytes: number;
}

/** Where a link leads, when that is inside the app and not a folder it is in itself. */
function followed(
  walk: Walk,
  path: string,
  holders: readonly string[],
): { real: string; stat: Stats } {
  let real: string;
  try {
    real = realpathSync(join(walk.root, path));
  } catch {
    return refuse(path, "symbolic link leads nowhere", "remove it, or name it in .faztignore");
  }
  if (real !== walk.root && !real.startsWith(walk.root + sep)) {
    refuse(path, "symbolic link leaves the app", "copy what it leads to into the app");
  }
  if (holders.includes(real)) {
    refuse(path, "symbolic link leads to a folder that holds it", "remove it");
  }
  return { real, stat: statSync(real) };
}

function add(walk: Walk, path: string, found: { real: string; stat: Stats }): void {
  const { size, mode } = found.stat;
  if (size > limits.fileBytesMax) {
    const state = `${size} bytes, the limit is ${limits.fileBytesMax}`;
    throw new SysError("EFBIG", `cannot deploy ${JSON.stringify(path)}: ${state}`, {
      hint: "keep large files in the app's /data, or name them in .faztignore",
    });
  }
  walk.sizeBytes += size;
  if (walk.sizeBytes > limits.releaseBytesMax) {
    throw new SysError("EFBIG", `cannot deploy over ${limits.releaseBytesMax} bytes of files`, {
      hint: "name what the app does not need in .faztignore",
    });
  }
  if (walk.files.length >= limits.filesMax) {
    throw new SysError("EINVAL", `cannot deploy more than ${limits.filesMax} files`, {
      hint: "name folders the app does not need in .faztignore",
    });
  }
  const permissions = (mode & 0o100) === 0 ? 0o644 : 0o755;
  walk.files.push({ path, source: found.real, sizeBytes: size, mode: permissions });
}

function enter(walk: Walk, path: string, holders: readonly string[]): void {
  if (holders.length > limits.depthMax) {
    refuse(path, `more than ${limits.depthMax} folders deep`, "flatten it");
  }
  const folder = path === "" ? "" : `${path}/`;
  const names = readdirSync(join(walk.root, path), { encoding: "buffer" });
  for (const name of names) visit(walk, folder + nameOf(name, folder), holders);
}

function visit(walk: Walk, path: string, holders: readonly string[]): void {
  const place = join(walk.root, path);
  const linked = lstatSync(place).isSymbolicLink();
  // A link's own name may be ignored, whatever it leads to.
  if (linked && walk.ignore(path, false)) return;
  const found = linked ? followed(walk, path, holders) : { real: place, stat: statSync(place) };
  const { real, stat } = found;
  if (walk.ignore(path, stat.isDirectory())) return;
  if (stat.isDirectory()) enter(walk, path, [...holders, real]);
  else if (stat.isFile()) add(walk, path, found);
  else refuse(path, `${kindOf(stat)}, not a file`, "remove it, or name it in .faztignore");
}

/** Every file of `folders` and `files` of an app (all of it for `[""]`), sorted by path. */
export function walkApp(dir: string, tops: readonly string[], ignore: Ignore): SourceFile[] {
  const root = realpathSync(dir);
  const walk: Walk = { root, ignore, files: [], sizeBytes: 0 };
  for (const top of tops) {
    if (top === "") enter(walk, "", [root]);
    else visit(walk, top, [root]);
  }
  return walk.files.sort((a, b) => (a.path < b.path ? -1 : 1));
}
