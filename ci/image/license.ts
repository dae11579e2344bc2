/**
 * The terms that everything in the image is under, as one archive beside the disk: Debian's
 * `copyright` files by package, the licences of npm packages by name. The texts themselves stay out
 * of the disk.
 */
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import lock from "../../package-lock.json";
import { root } from "../with.mjs";
import type { System } from "./system.ts";
import { epochSeconds, type Tools } from "./tools.ts";

/** Packages of package-lock.json, by where they lie. */
export type Locked = Readonly<
  Record<string, { readonly version?: string; readonly dev?: boolean }>
>;

/** What is on the boot partition, of the tools tree and not of the system. */
export const bootPackages = {
  amd64: ["busybox-static", "grub-pc-bin", "grub-efi-amd64-bin"],
  arm64: ["busybox-static", "grub-efi-arm64-bin"],
} as const;

/** Where the npm packages lie that are in the program: those that are not only for building it. */
export function programPaths(packages: Locked = lock.packages): string[] {
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== "" && dev !== true)
    .map(([path]) => path);
}

/** The name of an npm package, from where it lies. Pure. */
export function nameAt(path: string): string {
  return path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
}

/** Copies the files of a package that say under which terms it is. */
function copyTerms(from: string, to: string): void {
  const names = existsSync(from) ? readdirSync(from) : [];
  // A package without a text of its own names its terms in its package.json.
  const texts = names.filter((name) => /^(licen[cs]e|copying|notice|package\.json)/i.test(name));
  if (texts.length > 0) mkdirSync(to, { recursive: true });
  for (const name of texts) copyFileSync(`${from}/${name}`, `${to}/${name}`);
}

/** Makes the archive at `path` (tar.gz). */
export async function packLicenses(
  tools: Tools,
  { licenses }: Pick<System, "licenses">,
  { path, dir }: { readonly path: string; readonly dir: string },
): Promise<void> {
  rmSync(dir, { recursive: true, force: true });
  cpSync(licenses, `${dir}/system`, { recursive: true, dereference: true });
  for (const name of bootPackages[tools.architecture]) {
    await tools.run(["cp", `/usr/share/doc/${name}/copyright`, `${dir}/system/${name}`]);
  }
  for (const at of programPaths()) copyTerms(root + at, `${dir}/program/${nameAt(at)}`);
  copyTerms(`${root}node_modules/bun`, `${dir}/program/bun`);
  copyFileSync(`${root}LICENSE`, `${dir}/LICENSE`);
  const same = ["--sort=name", `--mtime=@${epochSeconds}`, "--owner=0", "--group=0"];
  const form = ["--numeric-owner", "--mode=u=rwX,go=rX", "-I", "gzip -n"];
  await tools.run(["tar", ...same, ...form, "-cf", path, "-C", dir, "."]);
}
