/**
 * The app's own build: the `build` script of its `package.json`, run where it is, before the files
 * are read. A dependency that is not installed is told before a tool fails over it.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import { readSettings } from "./appfile.ts";
import { parseJson } from "./json.ts";
import { limits } from "./limits.ts";

interface Package {
  readonly build: boolean;
  readonly dependencies: string[];
  readonly devDependencies: string[];
}

/** What of `package.json` matters here; null when there is none. EINVAL. */
function readPackage(dir: string): Package | null {
  const text = readSettings(dir, "package.json");
  if (text === null) return null;
  const value = parseJson(text, "package.json");
  const entry = (key: string): Record<string, unknown> => {
    const found = (value as Record<string, unknown> | null)?.[key];
    return typeof found === "object" && found !== null ? (found as Record<string, unknown>) : {};
  };
  return {
    build: typeof entry("scripts")["build"] === "string",
    dependencies: Object.keys(entry("dependencies")),
    devDependencies: Object.keys(entry("devDependencies")),
  };
}

/** Whether a package is in a `node_modules` of the folder or above it, as resolution looks. */
function installed(dir: string, name: string): boolean {
  if (existsSync(join(dir, "node_modules", name))) return true;
  const above = dirname(dir);
  return above !== dir && installed(above, name);
}

function wantInstalled(dir: string, names: readonly string[]): void {
  const missing = names.filter((name) => !installed(dir, name));
  if (missing.length === 0) return;
  const list = missing.slice(0, 5).join(", ") + (missing.length > 5 ? ", …" : "");
  throw new SysError("ENOENT", `cannot build "${dir}": dependencies are not installed: ${list}`, {
    hint: "run npm install there first",
  });
}

/** The command that runs the script: the package manager whose lock file lies there. */
function command(dir: string): { args: string[]; env: Record<string, string> } {
  const locked = existsSync(join(dir, "bun.lock")) || existsSync(join(dir, "bun.lockb"));
  const npm = locked ? null : Bun.which("npm");
  if (npm !== null) return { args: [npm, "run", "--silent", "build"], env: {} };
  // This very program is Bun, also when it is compiled.
  return { args: [process.execPath, "run", "--silent", "build"], env: { BUN_BE_BUN: "1" } };
}

/** What is told of a build while it runs. */
export type BuildOutput = (line: string) => void;

/**
 * Runs the build script when there is one, and checks that what the server needs is installed.
 * ENOENT (dependencies), ENOEXEC (the script failed, with its last lines in the hint).
 */
export async function buildApp(dir: string, server: boolean, output: BuildOutput): Promise<void> {
  const found = readPackage(dir);
  if (found === null) return;
  if (found.build) wantInstalled(dir, [...found.dependencies, ...found.devDependencies]);
  else if (server) wantInstalled(dir, found.dependencies);
  if (!found.build) return;

  const { args, env } = command(dir);
  const script = Bun.spawn(args, {
    cwd: dir,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const last: string[] = [];
  const keep = (line: string) => {
    output(line);
    last.push(line);
    if (last.length > limits.buildLinesShown) last.shift();
  };
  await Promise.all([eachLine(script.stdout, keep), eachLine(script.stderr, keep)]);
  const exit = await script.exited;
  if (exit === 0) return;
  const said = last.length === 0 ? "" : `\n${last.join("\n")}`;
  throw new SysError("ENOEXEC", `cannot build "${dir}": its build script exited ${exit}${said}`, {
    hint: "run the build script there and correct what it reports, or pass --no-build",
  });
}

async function eachLine(stream: ReadableStream<Uint8Array>, told: BuildOutput): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) told(line);
  }
  if (rest !== "") told(rest);
}
