/**
 * The root of the machine: the system, `image/root` over it, fazt, and which units start. Then the
 * read-only file system made of it.
 *
 * It is not compressed: a machine reads it as it is (a tenth of the time to the first answer where
 * the processor is slow), and the download is smaller, because one strong compressor sees all of it.
 */
import { copyFileSync, existsSync, readFileSync, rmSync, symlinkSync } from "node:fs";
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

/** Makes the root as a folder; what is there is replaced. */
export async function makeRoot(
  tools: Tools,
  system: System,
  { fazt, dir }: { readonly fazt: string; readonly dir: string },
): Promise<void> {
  rmSync(dir, { recursive: true, force: true });
  await tools.run(["cp", "-a", system.tree, dir]);
  // Files of a checkout have its owner and its mode; those of a machine are root's.
  const copy = ["cp", "-r", "--no-preserve=mode,ownership", "--no-dereference"];
  await tools.run([...copy, `${root}image/root/.`, dir]);
  copyFileSync(fazt, `${dir}/usr/bin/fazt`);
  await tools.run(["chmod", "0755", `${dir}/usr/bin/fazt`]);
  for (const unit of maskedUnits(readFileSync(`${root}image/masked.txt`, "utf8"))) {
    const path = `${dir}/etc/systemd/system/${unit}`;
    if (!existsSync(path)) symlinkSync("/dev/null", path);
  }
  symlinkSync("../run/systemd/resolve/stub-resolv.conf", `${dir}/etc/resolv.conf`);
  await tools.run(["systemctl", `--root=${dir}`, "preset-all"]);
}

/** What tells the file system from others; a constant, so that the same files give the same bytes. */
const volumeId = "6661747a-0000-4000-8000-726f6f740000";

/** Makes the read-only file system of a folder. */
export async function packRoot(tools: Tools, dir: string, image: string): Promise<void> {
  rmSync(image, { force: true });
  const same = [`-T${epochSeconds}`, `-U${volumeId}`, "--ignore-mtime"];
  await tools.run(["mkfs.erofs", "--quiet", ...same, "-Lfazt-root", image, dir]);
}
