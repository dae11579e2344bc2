/**
 * `npm run build`: `dist/fazt`, one executable with Bun, the kernel, the command and every file
 * they carry.
 *
 * The executable is built again only when its inputs differ from those of the last build: a hash
 * over the sources, the locked packages and this file's options is kept beside it. Sources keep
 * their names and line numbers through an inline source map, so that a stack is readable; only
 * white space is minified, because names in a stack are worth more than the bytes. The new file
 * replaces the old by rename: a running kernel keeps the one it started from. The version is that of
 * package.json, which the program imports.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import manifest from "../package.json";
import { root } from "./with.mjs";

/** Where the executable is. */
const executablePath = `${root}dist/fazt`;

const inputs = "{kernel,init,cli,image}/**/*";
const others = ["package.json", "package-lock.json", "tsconfig.json", "ci/build.ts"];

/** SHA-256 over names and bytes of everything the executable is made of. */
export function inputHash(base: string): string {
  const names = [...new Bun.Glob(inputs).scanSync({ cwd: base, dot: true }), ...others]
    .filter((name) => !name.endsWith(".test.ts") && existsSync(base + name))
    .sort();
  const hash = new Bun.CryptoHasher("sha256");
  for (const name of names) hash.update(`${name}\0`).update(readFileSync(base + name));
  return hash.digest("hex");
}

/** The arguments of `bun build`. */
function options(outfile: string, entry = `${root}init/main.ts`): string[] {
  return [
    "--compile",
    "--bytecode",
    // Each of the program's lives loads its own part only: 3.5 MB less in every app's process.
    "--splitting",
    "--format=esm",
    "--target=bun",
    "--minify-whitespace",
    "--sourcemap=inline",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    `--outfile=${outfile}`,
    entry,
  ];
}

/** What a build is made with beside the sources: constants of the program, as tests want them. */
export interface Variant {
  readonly outfile: string;
  /** The module that is run; the program's own when it is absent. */
  readonly entry?: string;
  /** Names and the texts that stand in their place. */
  readonly define: Readonly<Record<string, string>>;
}

/** Builds an executable; a failed build throws. */
export async function buildVariant({ outfile, entry, define }: Variant): Promise<void> {
  const defines = Object.entries(define).map(
    ([name, text]) => `--define=${name}=${JSON.stringify(text)}`,
  );
  const bundler = Bun.spawn([process.execPath, "build", ...options(outfile, entry), ...defines], {
    cwd: root,
    env: { ...process.env, NODE_ENV: "production" },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([bundler.stdout.text(), bundler.stderr.text()]);
  if ((await bundler.exited) === 0 && existsSync(outfile)) return;
  throw new Error(`cannot build "${outfile}":\n${output}${errors}`);
}

/** Builds what is not built yet and gives the executable's path; a failed build throws. */
export async function build(): Promise<string> {
  const stamp = `${executablePath}.inputs`;
  const hash = inputHash(root);
  const fresh = existsSync(executablePath) && existsSync(stamp);
  if (fresh && readFileSync(stamp, "utf8") === hash) return executablePath;

  // In a directory of its own: the bundler also writes the maps, which are inside the executable.
  const drafts = `${executablePath}.${process.pid}.new`;
  const draft = `${drafts}/fazt`;
  mkdirSync(drafts, { recursive: true });
  rmSync(stamp, { force: true });
  try {
    await buildVariant({ outfile: draft, define: {} });
    renameSync(draft, executablePath);
  } finally {
    rmSync(drafts, { recursive: true, force: true });
  }
  writeFileSync(stamp, hash);
  return executablePath;
}

if (import.meta.main) {
  const startedMs = performance.now();
  const path = await build().catch((error: Error) => error);
  if (path instanceof Error) {
    console.error(path.message);
    process.exit(1);
  }
  console.log(`${path} ${(Bun.file(path).size / 1e6).toFixed(0)} MB, ${manifest.version}`);
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
}
