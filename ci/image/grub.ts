/**
 * GRUB for both firmwares, from one configuration (`image/boot/`): for UEFI one executable on the
 * boot partition; for BIOS the boot sector and the core that it loads, placed by hand, because
 * grub-install wants a device and this is a file.
 */
import { readFileSync } from "node:fs";
import { root } from "../with.mjs";
import type { Architecture, Tools } from "./tools.ts";

/** What only BIOS needs. */
export interface BiosGrub {
  /** The first 440 bytes of the disk. */
  readonly bootSector: Uint8Array;
  /** What the boot sector loads; goes to the start of the BIOS boot partition. */
  readonly core: Uint8Array;
}

export interface Grub {
  readonly efi: Uint8Array;
  /** The name under which UEFI looks for it (UEFI 2.10, 3.5.1.1). */
  readonly efiName: string;
  /** Null where no BIOS is: arm64. */
  readonly bios: BiosGrub | null;
}

export const sectorBytes = 512;

const shared = [
  ...["part_gpt", "fat", "normal", "configfile", "linux", "echo", "test", "sleep", "reboot"],
  ...["loadenv", "search", "search_label", "serial", "terminal", "minicmd", "halt"],
];
const modules = { bios: [...shared, "biosdisk"], efi: [...shared, "efi_gop", "all_video"] };
const efi = {
  amd64: { format: "x86_64-efi", name: "BOOTX64.EFI" },
  arm64: { format: "arm64-efi", name: "BOOTAA64.EFI" },
} as const satisfies Record<Architecture, object>;

/** Fields of boot.img and diskboot.img (grub 2.12, include/grub/i386/pc/boot.h). */
const coreSectorField = 0x5c;
const driveCheckField = 0x66;
const blockListField = sectorBytes - 12;

/**
 * Ties the boot sector to the core's place: the sector of the core goes into the boot sector, that
 * of the core's rest into the core's own list. The check of the drive's number, which trips over
 * some BIOSes, becomes two bytes that do nothing. Pure.
 */
export function tie(boot: Uint8Array, core: Uint8Array, coreSector: number): BiosGrub {
  const bootSector = boot.slice(0, 440);
  new DataView(bootSector.buffer).setBigUint64(coreSectorField, BigInt(coreSector), true);
  bootSector.set([0x90, 0x90], driveCheckField);
  const tied = core.slice();
  new DataView(tied.buffer).setBigUint64(blockListField, BigInt(coreSector + 1), true);
  return { bootSector, core: tied };
}

/** Makes both; `coreSector` is where the BIOS boot partition begins. */
export async function makeGrub(tools: Tools, coreSector: number, dir: string): Promise<Grub> {
  const early = `${root}image/boot/early.cfg`;
  const image = async (format: string, names: readonly string[]) => {
    const out = `${dir}/${format}.img`;
    const options = ["-O", format, "-p", "/fazt", "-c", early, "-o", out];
    await tools.run(["grub-mkimage", ...options, ...names]);
    return readFileSync(out);
  };
  const { format, name } = efi[tools.architecture];
  const program = { efi: await image(format, modules.efi), efiName: name };
  if (tools.architecture !== "amd64") return { ...program, bios: null };
  const core = await image("i386-pc", modules.bios);
  await tools.run(["cp", "/usr/lib/grub/i386-pc/boot.img", `${dir}/boot.img`]);
  return { ...program, bios: tie(readFileSync(`${dir}/boot.img`), core, coreSector) };
}

const environmentBytes = 1024;

/** A GRUB environment block: lines of `name=value`, filled up to its fixed size. Pure. */
export function grubEnvironment(values: Readonly<Record<string, string>>): string {
  const lines = Object.entries(values).map(([name, value]) => `${name}=${value}\n`);
  return `# GRUB Environment Block\n${lines.join("")}`.padEnd(environmentBytes, "#");
}
