/**
 * An app's folder before anything is built: its `app.json`, its name, its server entry, and the
 * places its files are in. Everything is checked here, before work begins.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type Manifest, readAppName, readManifest } from "../../kernel/app/manifest.ts";
import { SysError } from "../../kernel/errno.ts";
import { parseJson } from "./json.ts";
import { limits } from "./limits.ts";

/** An app's folder, understood. */
export interface AppFolder {
  /** Absolute. */
  readonly dir: string;
  readonly name: string;
  readonly manifest: Manifest;
  /** The server's source as written, relative to `dir`; null when the app has none. */
  readonly server: string | null;
}

const entries = ["server.ts", "server.js", "server.tsx", "server.mjs"];

/** The text of a small file that people write, or null when it is absent. EFBIG, EINVAL. */
export function readSettings(dir: string, file: string): string | null {
  const path = join(dir, file);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile()) return null;
  if (stat.size > limits.settingsBytesMax) {
    throw new SysError("EFBIG", `cannot read "${file}": over ${limits.settingsBytesMax} bytes`, {
      hint: "it is meant to be written by hand",
    });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (cause) {
    throw new SysError("EINVAL", `cannot read "${file}": not UTF-8`, {
      hint: "save it as UTF-8",
      cause,
    });
  }
}

/** Reads and checks an app's folder. ENOENT, ENOTDIR, EINVAL, EFBIG. */
export function readAppFolder(given: string, name: string | undefined): AppFolder {
  const dir = resolve(given);
  const stat = statSync(dir, { throwIfNoEntry: false });
  if (stat === undefined) {
    throw new SysError("ENOENT", `cannot deploy "${given}": no such directory`, {
      hint: "fazt app create makes one",
    });
  }
  if (!stat.isDirectory()) {
    throw new SysError("ENOTDIR", `cannot deploy "${given}": not a directory`, {
      hint: "name the folder the app is in",
    });
  }
  const text = readSettings(dir, "app.json");
  const manifest = readManifest(text === null ? {} : parseJson(text, "app.json"));
  const chosen = name ?? manifest.name;
  return {
    dir,
    name: chosen === undefined ? nameOfFolder(dir, "deploy") : readAppName(chosen, "deploy"),
    manifest,
    server: serverOf(dir, manifest, text !== null),
  };
}

/** The name a folder gives its app: `My App` becomes `my-app`. EINVAL when nothing is left. */
export function nameOfFolder(dir: string, action: string): string {
  const name = basename(dir)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  try {
    return readAppName(name, action);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const hint = 'rename the folder, or name the app with --name or "name" in app.json';
    throw new SysError("EINVAL", error.message, { hint });
  }
}

/** The entry that is named, else a `server.*` at the top, unless the folder is a plain site. */
function serverOf(dir: string, manifest: Manifest, described: boolean): string | null {
  if (manifest.server !== null) {
    if (existsSync(join(dir, manifest.server))) return manifest.server;
    throw new SysError(
      "ENOENT",
      `cannot deploy "${dir}": the server entry "${manifest.server}" does not exist`,
      { hint: 'correct "server" in app.json' },
    );
  }
  const plainSite =
    !described && !existsSync(join(dir, manifest.public)) && existsSync(join(dir, "index.html"));
  return plainSite ? null : (entries.find((entry) => existsSync(join(dir, entry))) ?? null);
}
