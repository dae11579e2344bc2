/**
 * Runs one of the programs in ci/ on the pinned Bun: `node ci/with.mjs NAME [ARGS]`.
 *
 * A newcomer has only Node 20 and npm, so this file is plain JavaScript for Node and uses nothing
 * that `npm ci` brings. It installs the npm packages when they are missing or not the locked ones,
 * finds Bun's executable, and passes arguments, signals and the exit code through. The `bun`
 * package links its executable in an install script, which newer npm holds back; the executable is
 * therefore looked for where it is with and without that script.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

/** The root of the checkout, with a slash at its end. */
export const root = fileURLToPath(new URL("../", import.meta.url));

/** A stub is some hundred bytes, the executable about 100 MB. */
const smallestExecutableBytes = 1_000_000;

/**
 * @typedef {{ version?: string, optional?: boolean }} LockedPackage
 * @typedef {{ packages: Record<string, LockedPackage> }} Lock
 */

/**
 * Whether the installed packages are those of the lock file. Optional packages are those of other
 * platforms: they may be absent, but not of another version.
 * @param {Lock} wanted package-lock.json
 * @param {Lock} installed node_modules/.package-lock.json
 */
export function upToDate(wanted, installed) {
  return Object.entries(wanted.packages).every(([path, { version, optional }]) => {
    const found = installed.packages[path];
    return path === "" || (found ? found.version === version : optional === true);
  });
}

/**
 * Bun's executable below `base`, or null.
 * @param {string} base
 */
export function findBun(base) {
  const candidates = ["node_modules/bun/bin/bun.exe"];
  const platform = `bun-${process.platform}-${process.arch === "arm64" ? "aarch64" : "x64"}`;
  for (const variant of ["", "-musl", "-baseline", "-musl-baseline"]) {
    candidates.push(`node_modules/@oven/${platform}${variant}/bin/bun`);
  }
  const real = candidates.find((path) => {
    const found = statSync(base + path, { throwIfNoEntry: false });
    return found !== undefined && found.size > smallestExecutableBytes;
  });
  return real === undefined ? null : base + real;
}

/**
 * Runs a command in the foreground and gives its exit code; signals are passed on. A terminal
 * sends Ctrl-C to the whole group itself, so there it must not arrive a second time.
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {Promise<number>}
 */
export function foreground(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit" });
    for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
      process.on(signal, () => {
        if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
      });
    }
    child.on("error", reject);
    child.on("exit", (code, signal) =>
      resolve(code ?? 128 + constants.signals[signal ?? "SIGKILL"]),
    );
  });
}

/** Makes node_modules what package-lock.json says. */
async function installPackages() {
  const hidden = `${root}node_modules/.package-lock.json`;
  /** @param {string} path @returns {Lock} */
  const read = (path) => JSON.parse(readFileSync(path, "utf8"));
  if (existsSync(hidden) && upToDate(read(`${root}package-lock.json`), read(hidden))) return;
  console.error("installing npm packages");
  const code = await foreground("npm", ["ci", "--prefix", root]);
  if (code !== 0) process.exit(code);
}

/** @param {readonly string[]} argv */
async function main([name = "", ...args]) {
  process.chdir(root);
  const program = `ci/${name}.ts`;
  if (name === "" || !existsSync(program)) {
    console.error(`cannot run "${name}": no program ${program}`);
    return 2;
  }
  await installPackages();
  const bun = findBun(root);
  if (bun === null) {
    console.error(`no Bun for ${process.platform} ${process.arch} in node_modules: run "npm ci"`);
    return 1;
  }
  return foreground(bun, ["--no-env-file", "--no-install", program, ...args]);
}

const isProgram = process.argv[1] === fileURLToPath(import.meta.url);
if (isProgram) process.exit(await main(process.argv.slice(2)));
