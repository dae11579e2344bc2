/**
 * What our boot is measured against: a Debian as mkosi makes it (`fixtures/stock/mkosi.conf`), kept
 * in the cache under a hash of what it is made of.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostMirror, releaseOf, sourcesOf } from "../image/mirror.ts";
import { cacheDir, type Tools } from "../image/tools.ts";

/** The kernel that ours has too. */
const kernels = { debian: "linux-image-cloud-amd64", ubuntu: "linux-image-virtual" } as const;

const config = new URL("fixtures/stock", import.meta.url).pathname;

/** The stock disk, a raw file that boots under UEFI; built when it is not there (a minute). */
export async function ensureStock(tools: Tools): Promise<string> {
  const text = readFileSync(`${config}/mkosi.conf`, "utf8");
  const hash = new Bun.CryptoHasher("sha256").update(tools.id).update(text).digest("hex");
  const dir = `${cacheDir}/stock-${hash.slice(0, 12)}`;
  if (existsSync(dir)) return `${dir}/stock.raw`;
  console.error(`building the stock image (once): ${dir}`);
  const draft = `${dir}.${process.pid}`;
  const lists = `${draft}/sandbox/etc/apt/sources.list.d`;
  mkdirSync(lists, { recursive: true });
  const { distribution } = tools;
  const release = releaseOf(distribution);
  writeFileSync(`${lists}/mkosi.sources`, sourcesOf(hostMirror(), release));
  const what = [
    `--distribution=${distribution}`,
    `--release=${release}`,
    `--package=${kernels[distribution]}`,
  ];
  const places = [`--sandbox-tree=${draft}/sandbox`, `--output-directory=${draft}`];
  const own = [`--directory=${config}`, "--workspace-directory=/tmp", "--force"];
  await tools.run(["mkosi", ...own, ...what, ...places, "build"]);
  rmSync(`${draft}/sandbox`, { recursive: true });
  renameSync(draft, dir);
  return `${dir}/stock.raw`;
}
