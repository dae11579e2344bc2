/**
 * The disk, one file for BIOS and UEFI: partition table, boot sector, boot partition, slot a. Slot
 * b and the data partition are made on the first boot by the machine itself, so that the download
 * stays small and the data takes what the disk has.
 *
 *   1  BIOS boot    1 MiB   GRUB's core
 *   2  FAZT-ESP   128 MiB   GRUB for UEFI, its configuration and state, kernel and initrd by slot
 *   3  root a     512 MiB   erofs
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { markerText } from "../../kernel/proc/system/mod.ts";
import { root } from "../with.mjs";
import { type Grub, grubEnvironment, makeGrub, sectorBytes } from "./grub.ts";
import { type Architecture, epochSeconds, type Tools } from "./tools.ts";

const mib = 1024 * 1024;

/** In MiB from the start of the disk. */
const layout = {
  biosBoot: { start: 1, size: 1 },
  boot: { start: 2, size: 128 },
  rootA: { start: 130, size: 512 },
  /** The end: the second partition table has its place there. */
  size: 643,
} as const;

/** A slot that is fuller than this has no room for the next versions. */
const slotFullMax = 0.6;

/** "root", as the Discoverable Partitions Specification has it for each architecture. */
const rootType: Readonly<Record<Architecture, string>> = {
  amd64: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
  arm64: "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
};

/** Constants, so that the same inputs give the same bytes; what must differ is made at first boot. */
const table = (architecture: Architecture) => `label: gpt
label-id: 6661747A-0000-4000-8000-000000000000
unit: sectors
first-lba: 34
sector-size: 512
start=${(layout.biosBoot.start * mib) / sectorBytes}, size=${(layout.biosBoot.size * mib) / sectorBytes}, type=21686148-6449-6E6F-744E-656564454649, uuid=6661747A-0000-4000-8000-000000000001, name=fazt-bios
start=${(layout.boot.start * mib) / sectorBytes}, size=${(layout.boot.size * mib) / sectorBytes}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=6661747A-0000-4000-8000-000000000002, name=fazt-esp
start=${(layout.rootA.start * mib) / sectorBytes}, size=${(layout.rootA.size * mib) / sectorBytes}, type=${rootType[architecture]}, uuid=6661747A-0000-4000-8000-000000000003, name=fazt-root-a
`;

export interface DiskParts {
  readonly kernel: string;
  readonly initrd: Uint8Array;
  /** The read-only file system. */
  readonly rootImage: string;
  readonly version: string;
}

async function partOf(path: string | Uint8Array) {
  const bytes = typeof path === "string" ? Bun.file(path) : new Blob([path.slice()]);
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of bytes.stream()) hash.update(chunk);
  return { sizeBytes: bytes.size, sha256: hash.digest("hex") };
}

/** What a slot holds, as `system.json` beside its kernel says. */
async function slotMarker({ version, rootImage, kernel, initrd }: DiskParts): Promise<string> {
  const parts = { root: await partOf(rootImage), kernel: await partOf(kernel) };
  return markerText({ version, ...parts, initrd: await partOf(initrd) });
}

/** Everything on the boot partition, as a folder. */
async function layBoot(dir: string, parts: DiskParts, grub: Grub): Promise<void> {
  rmSync(dir, { recursive: true, force: true });
  const state = { good: "a", try: "", left: "", canary: "" };
  const files: Readonly<Record<string, string | Uint8Array>> = {
    [`EFI/BOOT/${grub.efiName}`]: grub.efi,
    "fazt/grub.cfg": readFileSync(`${root}image/boot/grub.cfg`),
    "fazt/grubenv": grubEnvironment(state),
    "fazt/a/vmlinuz": readFileSync(parts.kernel),
    "fazt/a/initrd": parts.initrd,
    "fazt/a/system.json": await slotMarker(parts),
  };
  for (const [name, bytes] of Object.entries(files)) {
    const path = `${dir}/${name}`;
    mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    writeFileSync(path, bytes);
  }
  // Folders too, and last: what is written into one changes its time.
  for (const path of new Bun.Glob("**").scanSync({ cwd: dir, absolute: true, onlyFiles: false })) {
    utimesSync(path, epochSeconds, epochSeconds);
  }
}

async function makeBootPartition(tools: Tools, dir: string, image: string): Promise<void> {
  rmSync(image, { force: true });
  const size = openSync(image, "w");
  ftruncateSync(size, layout.boot.size * mib);
  closeSync(size);
  const same = ["--invariant", "-i", "FA570001"];
  await tools.run(["mkfs.vfat", "-F", "32", "-n", "FAZT-ESP", ...same, image]);
  await tools.run(["mcopy", "-s", "-m", "-i", image, `${dir}/EFI`, `${dir}/fazt`, "::"]);
}

/** Writes a file's bytes into an open disk at an offset, and leaves out what is nothing but zeros. */
async function place(disk: number, path: string, offset: number): Promise<void> {
  const zeros = Buffer.alloc(mib);
  let at = offset;
  for await (const chunk of Bun.file(path).stream()) {
    for (let i = 0; i < chunk.length; i += mib) {
      const part = chunk.subarray(i, i + mib);
      if (!zeros.subarray(0, part.length).equals(part)) writeSync(disk, part, 0, part.length, at);
      at += part.length;
    }
  }
}

/** Makes the disk at `path`, with what it is made of in `dir`. */
export async function makeDisk(
  tools: Tools,
  parts: DiskParts,
  { path, dir }: { readonly path: string; readonly dir: string },
): Promise<void> {
  const rootBytes = statSync(parts.rootImage).size;
  const room = layout.rootA.size * mib * slotFullMax;
  if (rootBytes > room) {
    throw new Error(`cannot place the root: ${rootBytes} bytes, at most ${room} in a slot`);
  }
  const grub = await makeGrub(tools, (layout.biosBoot.start * mib) / sectorBytes, dir);
  await layBoot(`${dir}/boot`, parts, grub);
  await makeBootPartition(tools, `${dir}/boot`, `${dir}/boot.vfat`);
  rmSync(path, { force: true });
  const disk = openSync(path, "w+");
  ftruncateSync(disk, layout.size * mib);
  await tools.run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", path], {
    stdin: table(tools.architecture),
  });
  if (grub.bios !== null) {
    const { bootSector, core } = grub.bios;
    writeSync(disk, bootSector, 0, bootSector.length, 0);
    writeSync(disk, core, 0, core.length, layout.biosBoot.start * mib);
  }
  await place(disk, `${dir}/boot.vfat`, layout.boot.start * mib);
  await place(disk, parts.rootImage, layout.rootA.start * mib);
  closeSync(disk);
}
