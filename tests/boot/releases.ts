/**
 * Releases of the operating system for a machine under test, on a CD that its probe attaches: a good
 * one, and one of each kind that must not stay.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeInitrd } from "../../ci/image/initrd.ts";
import { osRelease, packRoot } from "../../ci/image/root.ts";
import { imageDir } from "../../ci/image.ts";
import { publish, releaseKey } from "../appliance.ts";
import { testImage } from "./image.ts";

/** What is wrong with a release; `good`: nothing. */
export type Kind = "good" | "panic" | "corrupt" | "hang" | "gate";

export const versionOf: Readonly<Record<Kind, string>> = {
  good: "9.0.0",
  panic: "9.0.1",
  corrupt: "9.0.2",
  hang: "9.0.3",
  gate: "9.0.4",
};

/**
 * What the probe runs in the machine: the CD is at /run/releases, and its key is that of the root.
 * The first program of the root stays as it is: nothing but the key differs from what is shipped.
 */
export const attachReleases = `
const { existsSync, mkdirSync } = require("node:fs");
// Discs come after fazt: nobody needs them to serve.
while (!existsSync("/dev/sr0")) await Bun.sleep(100);
const run = (...words) => {
  const done = Bun.spawnSync(words);
  if (done.exitCode !== 0) throw new Error(words.join(" ") + ": " + done.stderr.toString());
};
mkdirSync("/run/releases", { recursive: true });
run("mount", "-t", "iso9660", "-o", "ro", "/dev/sr0", "/run/releases");
run("mount", "--bind", "/run/releases/release-keys", "/usr/lib/fazt/release-keys");
`;

/** A root that is the image's but for its version and one unit that fails, if that is wanted. */
async function rootOf(kind: Kind, dir: string): Promise<string> {
  const { tools, tree } = await testImage();
  const copy = join(dir, `tree-${kind}`);
  await tools.run(["cp", "-a", tree, copy]);
  const release = join(copy, "usr/lib/os-release");
  writeFileSync(release, osRelease(readFileSync(release, "utf8"), versionOf[kind]));
  if (kind === "gate") {
    const unit = "[Service]\nType=oneshot\nExecStart=/usr/bin/nothing\n";
    writeFileSync(join(copy, "usr/lib/systemd/system/broken.service"), unit);
    const wants = join(copy, "etc/systemd/system/multi-user.target.wants");
    symlinkSync("/usr/lib/systemd/system/broken.service", join(wants, "broken.service"));
  }
  const packed = join(dir, `root-${kind}`);
  await packRoot(tools, copy, packed);
  rmSync(copy, { recursive: true });
  return packed;
}

/** An initrd whose first program ends, or never does. */
async function initrdOf(kind: Kind): Promise<Uint8Array> {
  const { tools, tree, initrd } = await testImage();
  const init = readFileSync(join(import.meta.dir, "../../image/boot/init"), "utf8");
  const instead = { panic: "exit 1", hang: "while :; do sleep 60; done" }[kind as "panic" | "hang"];
  if (instead === undefined) return readFileSync(initrd);
  // After the watchdog, which is what ends the second.
  const at = init.indexOf("\ntries=0");
  return await makeInitrd(tools, { tree }, `${init.slice(0, at)}\n${instead}\n`);
}

/** A CD with releases of these kinds, each in a directory of its name; answers its path. */
export async function releaseDisc(dir: string, kinds: readonly Kind[]): Promise<string> {
  const { tools, kernel } = await testImage();
  const disc = join(dir, "releases.iso");
  // Of a run that this one goes on with.
  if (existsSync(disc)) return disc;
  // In the project's own folder, which the tools see as one file system.
  const work = join(imageDir, `releases-${process.pid}`);
  const files = join(work, "files");
  mkdirSync(files, { recursive: true });
  writeFileSync(join(files, "release-keys"), releaseKey);
  const noRoot = "no file system at all. ".repeat(3000);
  for (const kind of kinds) {
    const whole = kind === "good" || kind === "gate";
    const root = whole ? readFileSync(await rootOf(kind, work)) : noRoot;
    const parts = { root, kernel: readFileSync(kernel), initrd: await initrdOf(kind) };
    const out = join(files, kind);
    mkdirSync(out);
    publish(out, parts, { version: versionOf[kind] });
  }
  const make = ["xorriso", "-as", "mkisofs", "-quiet", "-V", "RELEASES", "-J", "-r"];
  await tools.run([...make, "-o", disc, files]);
  rmSync(work, { recursive: true });
  return disc;
}
