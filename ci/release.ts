/**
 * `npm run release`: makes a signed release of what was built, in a directory that any static file
 * server (or a `file:` URL) makes an update server.
 *
 *     npm run release -- --key ~/fazt.key [--channel edge] [--min-from 0.8.0] [--days 120]
 *     npm run release -- --key ~/fazt.key --system  with the appliance's operating system, as npm run image makes it
 *     npm run release -- --new-key ~/fazt.key      makes a key pair: ~/fazt.key and ~/fazt.key.pub
 *
 * Files are packed with zstd and named after the version; the manifest of the channel and its
 * signature are written last, so that who reads meanwhile sees the release before, or this one.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { allMigrations } from "../kernel/boot.ts";
import {
  type Arch,
  type Artifact,
  type ArtifactKind,
  type Channel,
  keyFilesOf,
  type Manifest,
  manifestText,
  signText,
} from "../kernel/proc/upgrade/mod.ts";
import { build } from "./build.ts";
import { root } from "./with.mjs";

const dayMs = 86_400_000;

/** A file that goes into a release. */
export interface Ingredient {
  readonly kind: ArtifactKind;
  readonly path: string;
}

export interface ReleaseOptions {
  /** The directory that is served. */
  readonly out: string;
  /** The text of the secret key. */
  readonly key: string;
  readonly version: string;
  readonly channel: Channel;
  readonly arch: Arch;
  readonly minFrom: string;
  /** Unix ms. */
  readonly notAfter: number;
  readonly notes?: string;
  readonly ingredients: readonly Ingredient[];
  /** zstd's level; 0 publishes the files as they are. */
  readonly level: number;
}

const sha256 = (bytes: Uint8Array): string => Bun.SHA256.hash(bytes, "hex");

/** Writes a file under another name first: it is there whole, or not. */
function put(path: string, bytes: Uint8Array | string): void {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}

function publish(options: ReleaseOptions, { kind, path }: Ingredient): Artifact {
  const { out, version, arch, level } = options;
  const bytes = readFileSync(path);
  const name = `${kind === "binary" ? "fazt" : kind}-${version}-${arch}`;
  const whole = { sizeBytes: bytes.length, sha256: sha256(bytes) };
  if (level === 0) {
    put(join(out, name), bytes);
    return { name, kind, ...whole, packed: null };
  }
  const packed = Bun.zstdCompressSync(bytes, { level });
  put(join(out, `${name}.zst`), packed);
  const published = { sizeBytes: packed.length, sha256: sha256(packed) };
  return { name: `${name}.zst`, kind, ...published, packed: { by: "zstd", ...whole } };
}

/** Makes a release; answers the path of its manifest. */
export function makeRelease(options: ReleaseOptions): string {
  const { out, key, version, channel, arch, minFrom, notAfter, notes = "" } = options;
  mkdirSync(out, { recursive: true });
  const manifest: Manifest = {
    format: 1,
    ...{ version, channel, arch, minFrom, notAfter, notes },
    schemaVersion: Math.max(...allMigrations().map((migration) => migration.version)),
    artifacts: options.ingredients.map((ingredient) => publish(options, ingredient)),
  };
  const text = new TextEncoder().encode(manifestText(manifest));
  const path = join(out, `${channel}-${arch}.json`);
  const comment = `fazt ${version} ${channel} ${arch}, until ${new Date(notAfter).toISOString()}`;
  // Who reads between the two finds a signature that does not fit, and tries again.
  put(`${path}.minisig`, signText(text, key, comment));
  put(path, text);
  return path;
}

function newKey(path: string): void {
  const { publicKey, secretKey } = keyFilesOf(crypto.getRandomValues(new Uint8Array(40)));
  writeFileSync(path, secretKey, { mode: 0o600, flag: "wx" });
  writeFileSync(`${path}.pub`, publicKey, { flag: "wx" });
  console.log(`${path} is secret, keep it; ${path}.pub goes to kernel/proc/upgrade/keys.ts`);
}

function argumentsOf() {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      key: text,
      "new-key": text,
      out: { ...text, default: `${root}dist/release` },
      channel: { ...text, default: "stable" },
      "min-from": { ...text, default: "0.0.0" },
      days: { ...text, default: "180" },
      notes: { ...text, default: "" },
      level: { ...text, default: "19" },
      with: { ...text, multiple: true, default: [] as string[] },
      system: { type: "boolean", default: false },
    },
  });
  return values;
}

/** The parts of a slot, made when they are not there. */
async function systemIngredients(): Promise<Ingredient[]> {
  const { makeImage } = await import("./image.ts");
  const { rootImage, kernel, initrd } = await makeImage();
  const paths = { root: rootImage, kernel, initrd } as const;
  return (["root", "kernel", "initrd"] as const).map((kind) => ({ kind, path: paths[kind] }));
}

async function main(): Promise<void> {
  const values = argumentsOf();
  if (values["new-key"] !== undefined) return newKey(values["new-key"]);
  if (values.key === undefined) throw new Error("name the secret key: --key FILE");
  const version = (await import("../init/version.ts")).version;
  const ingredients = values.with.map((word) => {
    const [kind = "", path = ""] = word.split(":");
    return { kind: kind as ArtifactKind, path };
  });
  const system = values.system ? await systemIngredients() : [];
  const path = makeRelease({
    out: values.out,
    key: readFileSync(values.key, "utf8"),
    version,
    channel: values.channel as Channel,
    arch: process.arch as Arch,
    minFrom: values["min-from"],
    notAfter: Date.now() + Number(values.days) * dayMs,
    notes: values.notes,
    ingredients: [{ kind: "binary", path: await build() }, ...system, ...ingredients],
    level: Number(values.level),
  });
  console.log(`${basename(path)} ${version} in ${values.out}`);
}

if (import.meta.main) {
  await main().catch((error: Error) => {
    console.error(error.message);
    process.exit(1);
  });
}
