/**
 * The same inputs give the same bytes: the system is built again from its packages, and the disk
 * of it.
 */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeDisk } from "../../ci/image/disk.ts";
import { makeInitrd } from "../../ci/image/initrd.ts";
import { makeRoot, packRoot } from "../../ci/image/root.ts";
import { buildSystem, type System } from "../../ci/image/system.ts";
import manifest from "../../package.json";
import { testImage } from "./image.ts";

const { version } = manifest;

async function sumOf(path: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(path).stream()) hash.update(chunk);
  return hash.digest("hex");
}

/** Builds everything anew below `dir`, but for fazt itself; sums of root, initrd and disk. */
async function make(dir: string, system: System): Promise<Record<string, string>> {
  const { tools, tree } = await testImage();
  const fazt = join(tree, "usr/bin/fazt");
  const rootImage = join(dir, "root.erofs");
  await makeRoot(tools, system, { fazt, dir: join(dir, "root"), version });
  await packRoot(tools, join(dir, "root"), rootImage);
  const initrd = await makeInitrd(tools, system);
  await Bun.write(join(dir, "initrd"), initrd);
  const path = join(dir, "disk.raw");
  await makeDisk(tools, { kernel: system.kernel, initrd, rootImage, version }, { path, dir });
  return {
    packages: readFileSync(system.packages, "utf8"),
    root: await sumOf(rootImage),
    initrd: await sumOf(join(dir, "initrd")),
    disk: await sumOf(path),
  };
}

/** It builds the whole system once more: minutes. The release does, with FAZT_TWICE=1. */
const asked = process.env["FAZT_TWICE"] === "1";

test.if(asked)(
  "built twice, the disk is the same to the byte",
  async () => {
    const { tools, system } = await testImage();
    const dir = mkdtempSync(join(tmpdir(), "fazt-twice-"));
    const anew = async (name: string) => {
      const place = join(dir, name);
      mkdirSync(place);
      return make(place, await buildSystem(tools, join(place, "system")));
    };
    try {
      const second = await anew("second");
      mkdirSync(join(dir, "first"));
      const kept = await make(join(dir, "first"), system);
      // A mirror that has gone on since the first was built says nothing about us.
      const first = kept["packages"] === second["packages"] ? kept : await anew("third");
      expect(second).toEqual(first);
    } finally {
      await tools.run(["rm", "-rf", dir]);
      rmSync(dir, { recursive: true, force: true });
    }
  },
  900_000,
);
