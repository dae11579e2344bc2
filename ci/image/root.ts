/**
 * The root of the machine: the system, `image/root` over it, fazt, and which units start. Then the
 * read-only file system made of it.
 *
 * It is not compressed: a machine reads it as it is (a tenth of the time to the first answer where
 * the processor is slow), and the download is smaller, because one strong compressor sees all of it.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { firstFirewall } from "../../kernel/net/iface/mod.ts";
import { root } from "../with.mjs";
import type { System } from "./system.ts";
import { epochSeconds, type Tools } from "./tools.ts";

/** The units of `image/masked.txt`, each with its reason. Pure. */
export function maskedUnits(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.slice(0, line.indexOf(": ")));
}

export interface RootOptions {
  readonly fazt: string;
  readonly dir: string;
  readonly version: string;
}

/** What a root calls itself: the distribution's os-release(5) with our name and version in it. Pure. */
export function osRelease(distribution: string, version: string): string {
  const others = distribution.split("\n").filter((line) => line !== "" && !/^IMAGE_/.test(line));
  return `${[...others, "IMAGE_ID=fazt", `IMAGE_VERSION=${version}`].join("\n")}\n`;
}

/** Unpacks the modules: each would be when it is loaded, at every boot, and slowly. */
async function unpackModules(tools: Tools, dir: string): Promise<void> {
  const modules = `${dir}/usr/lib/modules`;
  const packed = (end: string) =>
    [...new Bun.Glob(`**/*.ko.${end}`).scanSync({ cwd: modules, absolute: true })].sort();
  const [xz, zst] = [packed("xz"), packed("zst")];
  if (xz.length > 0) await tools.run(["xz", "--decompress", ...xz]);
  if (zst.length > 0) await tools.run(["zstd", "--quiet", "--decompress", "--rm", ...zst]);
  for (const version of readdirSync(modules)) await tools.run(["depmod", "-b", dir, version]);
}

/** Makes the root as a folder; what is there is replaced. */
export async function makeRoot(
  tools: Tools,
  system: System,
  { fazt, dir, version }: RootOptions,
): Promise<void> {
  rmSync(dir, { recursive: true, force: true });
  await tools.run(["cp", "-a", system.tree, dir]);
  // Files of a checkout have its owner and its mode; those of a machine are root's.
  const copy = ["cp", "-r", "--no-preserve=mode,ownership", "--no-dereference"];
  await tools.run([...copy, `${root}image/root/.`, dir]);
  copyFileSync(fazt, `${dir}/usr/bin/fazt`);
  await tools.run(["chmod", "0755", `${dir}/usr/bin/fazt`]);
  const release = `${dir}/usr/lib/os-release`;
  writeFileSync(release, osRelease(readFileSync(release, "utf8"), version));
  await unpackModules(tools, dir);
  await tools.run(["systemctl", `--root=${dir}`, "preset-all"]);
  // After the presets, which would take the links of instances away again.
  for (const unit of maskedUnits(readFileSync(`${root}image/masked.txt`, "utf8"))) {
    const path = `${dir}/etc/systemd/system/${unit}`;
    if (!existsSync(path)) symlinkSync("/dev/null", path);
  }
  mkdirSync(`${dir}/usr/lib/fazt`, { recursive: true });
  writeFileSync(`${dir}/usr/lib/fazt/firewall.nft`, firstFirewall());
  symlinkSync("../run/systemd/resolve/stub-resolv.conf", `${dir}/etc/resolv.conf`);
}

/** What tells the file system from others; a constant, so that the same files give the same bytes. */
const volumeId = "6661747a-0000-4000-8000-726f6f740000";

/** Makes the read-only file system of a folder. */
export async function packRoot(tools: Tools, dir: string, image: string): Promise<void> {
  rmSync(image, { force: true });
  const same = [`-T${epochSeconds}`, `-U${volumeId}`, "--ignore-mtime"];
  await tools.run(["mkfs.erofs", "--quiet", ...same, "-Lfazt-root", image, dir]);
}

/** The units of a root that are enabled: what starts by itself. */
export async function enabledUnits(tools: Tools, dir: string): Promise<string[]> {
  const options = ["--state=enabled", "--no-legend", "--no-pager"];
  const list = await tools.run(["systemctl", `--root=${dir}`, "list-unit-files", ...options]);
  return list
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "");
}
