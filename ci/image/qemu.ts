/**
 * A virtual machine's command line: QEMU of the tools tree. Without hardware acceleration unless it
 * is asked for, so that what is tested is tested the same everywhere. Pure.
 */

import type { Architecture } from "./tools.ts";

export type Firmware = "bios" | "uefi";
/** How the disk is attached. */
export type Bus = "virtio" | "scsi" | "nvme" | "sata";

export interface MachineOptions {
  readonly architecture: Architecture;
  readonly firmware: Firmware;
  readonly disk: { readonly path: string; readonly format: "raw" | "qcow2"; readonly bus: Bus };
  readonly memoryMb: number;
  /** Two, where it is not said. */
  readonly processors?: number;
  /** Ports of 127.0.0.1 that lead to the guest's; 0 picks one. Null: no network device at all. */
  readonly ports: Readonly<Record<number, number>> | null;
  /** A NoCloud volume or any other CD. */
  readonly cdrom?: string;
  /** With a watchdog card, which resets the machine. */
  readonly watchdog?: boolean;
  /** The writable variables of UEFI; a copy of the firmware's own. */
  readonly variables?: string;
  /** Systemd credentials and such: values of `-smbios`. */
  readonly smbios?: readonly string[];
  /** A file that takes what the machine writes to its second serial line. */
  readonly secondSerial?: string;
  /** Where QEMU is told what to do (QMP); a socket. */
  readonly control?: string;
  /** By hardware, where this machine has it to give. */
  readonly kvm?: boolean;
  /** Boots this kernel without firmware and boot loader. */
  readonly direct?: { readonly kernel: string; readonly initrd: string; readonly append: string };
}

interface Board {
  readonly program: string;
  readonly words: readonly string[];
  /** UEFI in the tools tree: its code, and what `variables` is a copy of. */
  readonly code: string;
  readonly variables: string;
}

const boards: Readonly<Record<Architecture, Board>> = {
  amd64: {
    program: "qemu-system-x86_64",
    words: ["-machine", "q35", "-cpu", "max", "-vga", "std"],
    code: "/usr/share/OVMF/OVMF_CODE_4M.fd",
    variables: "/usr/share/OVMF/OVMF_VARS_4M.fd",
  },
  arm64: {
    program: "qemu-system-aarch64",
    words: ["-machine", "virt", "-cpu", "max"],
    code: "/usr/share/AAVMF/AAVMF_CODE.fd",
    variables: "/usr/share/AAVMF/AAVMF_VARS.fd",
  },
};

/** In the tools tree: what `variables` is a copy of. */
export const firmwareVariables = (architecture: Architecture): string =>
  boards[architecture].variables;

const attach: Readonly<Record<Bus, readonly string[]>> = {
  virtio: ["-device", "virtio-blk-pci,drive=disk"],
  scsi: ["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=disk"],
  nvme: ["-device", "nvme,drive=disk,serial=fazt"],
  sata: ["-device", "ide-hd,drive=disk"],
};

function network(ports: MachineOptions["ports"]): string[] {
  if (ports === null) return ["-nic", "none"];
  const forwards = Object.entries(ports).map(
    ([guest, host]) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`,
  );
  // An empty romfile: the firmware does not try to boot from the network.
  const card = ["-device", "virtio-net-pci,netdev=net,romfile="];
  return ["-netdev", `user,id=net${forwards.join("")}`, ...card];
}

/** The words that find out whether the hardware's help works here: given "quit", it ends well. */
export function probeWords(architecture: Architecture): string[] {
  const { program, words } = boards[architecture];
  const bare = ["-nodefaults", "-display", "none", "-monitor", "stdio"];
  return [program, ...words, "-accel", "kvm", ...bare];
}

/** The words that run the machine with its serial line on standard input and output. */
export function qemuWords(options: MachineOptions): string[] {
  const { disk, direct, cdrom, variables, control, secondSerial, smbios = [] } = options;
  const board = boards[options.architecture];
  const flash = (file: string, rest: string) => `if=pflash,format=raw,file=${file}${rest}`;
  const uefi = ["-drive", flash(board.code, ",readonly=on"), "-drive", flash(variables ?? "", "")];
  const kernel = ["-kernel", direct?.kernel ?? "", "-initrd", direct?.initrd ?? ""];
  return [
    board.program,
    ...board.words,
    ...["-accel", options.kvm === true ? "kvm" : "tcg,thread=multi"],
    ...["-smp", String(options.processors ?? 2), "-m", `${options.memoryMb}M`],
    ...["-nodefaults", "-display", "none"],
    ...["-serial", "stdio", "-device", "virtio-rng-pci"],
    ...(secondSerial === undefined ? [] : ["-serial", `file:${secondSerial}`]),
    ...["-drive", `file=${disk.path},format=${disk.format},if=none,id=disk,discard=unmap`],
    ...attach[disk.bus],
    ...network(options.ports),
    ...(control === undefined ? ["-monitor", "none"] : ["-qmp", `unix:${control},server,nowait`]),
    ...(options.firmware === "uefi" ? uefi : []),
    ...(cdrom === undefined ? [] : ["-drive", `file=${cdrom},media=cdrom,readonly=on`]),
    ...(options.watchdog === true ? ["-device", "i6300esb", "-action", "watchdog=reset"] : []),
    ...smbios.flatMap((value) => ["-smbios", value]),
    ...(direct === undefined ? [] : [...kernel, "-append", direct.append]),
  ];
}
