/**
 * What is published beside the disk: the disk compressed (`.raw.zst`), for hypervisors (`.qcow2`),
 * the list of packages, what it is made of in a form that programs read (SBOM), the terms of all of
 * it, and sums.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import manifest from "../../package.json";
import lock from "../../package-lock.json";
import { bootPackages, type Locked, nameAt, packLicenses, programPaths } from "./license.ts";
import type { System } from "./system.ts";
import { epochSeconds, type Tools } from "./tools.ts";

/** A part of the image, as package managers name it. */
interface Component {
  readonly type: "library" | "application" | "operating-system";
  readonly name: string;
  readonly version: string;
  /** Package URL (https://github.com/package-url/purl-spec). */
  readonly purl: string;
}

/** The system's packages, from lines of name, version, architecture, source. Pure. */
export function systemComponents(text: string, distribution: string): Component[] {
  return text
    .trim()
    .split("\n")
    .map((line) => line.split("\t"))
    .map(([name = "", version = "", architecture = ""]) => ({
      type: "library",
      name,
      version,
      purl: `pkg:deb/${distribution}/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}`,
    }));
}

/** The npm packages that are in the program: those that are not only for building it. Pure. */
export function programComponents(packages: Locked): Component[] {
  return programPaths(packages).map((path) => {
    const [name, version] = [nameAt(path), packages[path]?.version ?? ""];
    return { type: "library", name, version, purl: `pkg:npm/${encodeURI(name)}@${version}` };
  });
}

/** A bill of materials in CycloneDX 1.6 (ECMA-424), as JSON. Pure. */
export function billOfMaterials(components: readonly Component[]): string {
  const { name, version } = manifest;
  const subject = { type: "operating-system", name, version, "bom-ref": `${name}@${version}` };
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { timestamp: new Date(epochSeconds * 1000).toISOString(), component: subject },
    components: components.map((one) => ({ ...one, "bom-ref": one.purl })),
  };
  return `${JSON.stringify(document, null, 1)}\n`;
}

async function sumOf(path: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(path).stream()) hash.update(chunk);
  return `${hash.digest("hex")}  ${basename(path)}\n`;
}

export interface ReleaseParts {
  readonly raw: string;
  readonly system: System;
  /** Level of zstd: 19 for what is published; a quicker one for a look. */
  readonly level: number;
}

/** What is on the boot partition, as lines like those of the system's packages. */
async function bootLines(tools: Tools): Promise<string> {
  const fields = ["Package", "Version", "Architecture"].map((name) => `\${${name}}`);
  const names = bootPackages[tools.architecture];
  return await tools.run(["dpkg-query", "-W", `-f=${fields.join("\\t")}\\n`, ...names]);
}

/** Makes them all; answers their paths, the disk's among them. */
export async function makeRelease(tools: Tools, parts: ReleaseParts): Promise<string[]> {
  const { raw, system, level } = parts;
  const base = raw.slice(0, -".raw".length);
  const zst = `${raw}.zst`;
  await tools.run(["zstd", "-q", "-f", `-${level}`, "-T0", "-o", zst, raw]);
  const qcow2 = `${base}.qcow2`;
  const form = ["-O", "qcow2", "-c", "-o", "compression_type=zstd"];
  await tools.run(["qemu-img", "convert", "-f", "raw", ...form, raw, qcow2]);
  const list = `${base}.packages.tsv`;
  const text = readFileSync(system.packages, "utf8");
  writeFileSync(list, text);
  const bill = `${base}.cdx.json`;
  const bun: Component = {
    type: "application",
    name: "bun",
    version: Bun.version,
    purl: `pkg:npm/bun@${Bun.version}`,
  };
  const own = programComponents(lock.packages as Locked);
  const deb = systemComponents(text + (await bootLines(tools)), tools.distribution);
  writeFileSync(bill, billOfMaterials([...deb, bun, ...own]));
  const terms = `${base}.licenses.tar.gz`;
  await packLicenses(tools, system, { path: terms, dir: join(dirname(raw), "work", "licenses") });
  const paths = [raw, zst, qcow2, list, bill, terms];
  let sums = "";
  for (const path of paths) sums += await sumOf(path);
  writeFileSync(`${dirname(raw)}/SHA256SUMS`, sums);
  return [...paths, `${dirname(raw)}/SHA256SUMS`];
}
