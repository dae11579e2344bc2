/**
 * A slot: a root in its partition, a kernel and an initrd on the boot partition, and beside those
 * `system.json`, which says what belongs together.
 *
 * Invariants
 * 1. A slot without `system.json` is empty: it goes first when a slot is written, and comes last.
 * 2. What was written is read back from the disk and must have the hash that the release says.
 * 3. Nothing here touches the running slot: the caller names the other one.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statfsSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { SysError } from "../../errno.ts";
import { dropPages } from "./advise.ts";
import { replaceFile, syncDir } from "./boot-partition.ts";
import type { Slot } from "./boot-state.ts";
import { bootSpareBytes, pieceBytes } from "./limits.ts";

const Part = z.object({ sizeBytes: z.int().min(1), sha256: z.string().length(64) });
const Marker = z.object({ version: z.string(), root: Part, kernel: Part, initrd: Part });

/** What a slot holds. */
export type Marker = z.output<typeof Marker>;

/** One part of a release, as a file of this machine. */
export interface SystemPart {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** An operating system that was verified, and waits to be written to a slot. */
export interface SystemRelease {
  readonly version: string;
  readonly root: SystemPart;
  readonly kernel: SystemPart;
  readonly initrd: SystemPart;
}

const bootFiles = { kernel: "vmlinuz", initrd: "initrd" } as const;
const slotDir = (boot: string, slot: Slot): string => join(boot, "fazt", slot);
const markerPath = (boot: string, slot: Slot): string => join(slotDir(boot, slot), "system.json");

/** The text of `system.json`. */
export const markerText = (marker: Marker): string => `${JSON.stringify(Marker.parse(marker))}\n`;

/** What a slot holds; null when it is empty, or not wholly written. */
export function readMarker(boot: string, slot: Slot): Marker | null {
  try {
    return Marker.parse(JSON.parse(readFileSync(markerPath(boot, slot), "utf8")));
  } catch {
    return null;
  }
}

/** Makes a slot count as empty; on the disk when this returns. */
export function emptySlot(boot: string, slot: Slot): void {
  const dir = slotDir(boot, slot);
  if (!existsSync(dir)) return;
  rmSync(markerPath(boot, slot), { force: true });
  syncDir(dir);
  rmSync(dir, { recursive: true, force: true });
  syncDir(join(dir, ".."));
}

/** Copies a part to a file or a device, piece by piece. EBADMSG when it is not what was promised. */
async function pour(part: SystemPart, path: string, flags: "w" | "r+"): Promise<void> {
  const target = await open(path, flags, 0o600);
  const hash = new Bun.CryptoHasher("sha256");
  let at = 0;
  try {
    for await (const chunk of Bun.file(part.path).stream()) {
      for (let from = 0; from < chunk.length; from += pieceBytes) {
        const piece = chunk.subarray(from, from + pieceBytes);
        if (at + piece.length > part.sizeBytes) throw wrong(path);
        await target.write(piece, 0, piece.length, at);
        hash.update(piece);
        at += piece.length;
      }
    }
    await target.sync();
  } finally {
    await target.close();
  }
  if (at !== part.sizeBytes || hash.digest("hex") !== part.sha256) throw wrong(path);
}

function wrong(path: string): SysError {
  return new SysError("EBADMSG", `cannot write "${path}": it is not what the release promised`, {
    hint: "download the release again",
  });
}

/** The hash of the first bytes of a file or a device, from the disk itself. EIO when it is shorter. */
async function hashOnDisk(path: string, sizeBytes: number): Promise<string> {
  dropPages(path);
  const source = await open(path, "r");
  const hash = new Bun.CryptoHasher("sha256");
  const piece = new Uint8Array(pieceBytes);
  try {
    for (let at = 0; at < sizeBytes; ) {
      const length = Math.min(piece.length, sizeBytes - at);
      const { bytesRead } = await source.read(piece, 0, length, at);
      if (bytesRead === 0) throw new SysError("EIO", `cannot read "${path}": it is too short`);
      hash.update(piece.subarray(0, bytesRead));
      at += bytesRead;
    }
  } finally {
    await source.close();
  }
  return hash.digest("hex");
}

/** Writes a release's root to its partition and reads it back. EFBIG, EBADMSG, EIO. */
export async function writeRoot(
  part: SystemPart,
  partition: { readonly device: string; readonly sizeBytes: number },
): Promise<void> {
  if (part.sizeBytes > partition.sizeBytes) {
    const state = `${part.sizeBytes} bytes, and the slot holds ${partition.sizeBytes}`;
    throw new SysError("EFBIG", `cannot write the system to "${partition.device}": ${state}`);
  }
  await pour(part, partition.device, "r+");
  await compare(partition.device, part);
}

async function compare(
  path: string,
  part: { readonly sizeBytes: number; readonly sha256: string },
): Promise<void> {
  if ((await hashOnDisk(path, part.sizeBytes)) === part.sha256) return;
  throw new SysError("EIO", `cannot trust "${path}": it does not keep what is written to it`, {
    hint: "the disk may be failing: take a backup, and move to another one",
  });
}

/** Writes kernel, initrd and, last, what they belong to. ENOSPC, EBADMSG. */
export async function writeBoot(boot: string, slot: Slot, release: SystemRelease): Promise<void> {
  const { bavail, bsize } = statfsSync(boot);
  const wanted = release.kernel.sizeBytes + release.initrd.sizeBytes + bootSpareBytes;
  if (bavail * bsize < wanted) {
    const state = `${wanted} bytes are wanted and ${bavail * bsize} are free`;
    throw new SysError("ENOSPC", `cannot write to the boot partition: ${state}`);
  }
  const dir = slotDir(boot, slot);
  mkdirSync(dir, { recursive: true });
  for (const kind of ["kernel", "initrd"] as const) {
    const path = join(dir, bootFiles[kind]);
    await pour(release[kind], `${path}.new`, "w");
    renameSync(`${path}.new`, path);
  }
  syncDir(dir);
  const { version, root, kernel, initrd } = release;
  replaceFile(markerPath(boot, slot), markerText({ version, root, kernel, initrd }));
  syncDir(join(dir, ".."));
}

/** What a slot holds, by its own word. ENOENT when it is empty, or was not wholly written. */
export function mustHaveMarker(boot: string, slot: Slot): Marker {
  const marker = readMarker(boot, slot);
  if (marker !== null) return marker;
  throw new SysError("ENOENT", `cannot use slot "${slot}": it is empty`, {
    hint: "fazt proc upgrade fills it",
  });
}

/** Compares all of a slot with what it should hold, from the disk. ENOENT when it is empty, EIO. */
export async function verifySlot(boot: string, slot: Slot, device: string): Promise<void> {
  const marker = mustHaveMarker(boot, slot);
  for (const kind of ["kernel", "initrd"] as const) {
    await compare(join(slotDir(boot, slot), bootFiles[kind]), marker[kind]);
  }
  await compare(device, marker.root);
}
