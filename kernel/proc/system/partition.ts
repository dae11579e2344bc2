/**
 * The disk that the machine runs from: which of its partitions is the running root, which are the
 * other slot and the boot partition. Found from the mounted root, by the names that partitions have
 * in its table: another disk with the same names is another machine's.
 */
import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { SysError } from "../../errno.ts";
import type { Slot } from "./boot-state.ts";

export interface Partition {
  readonly name: string;
  /** Its device, such as `/dev/vda4`. */
  readonly device: string;
  readonly sizeBytes: number;
}

/** The name in a block device's `uevent`, or null. Pure. */
export function partitionName(uevent: string): string | null {
  return /^PARTNAME=(.+)$/m.exec(uevent)?.[1] ?? null;
}

/** What the kernel calls a device number (`struct stat`, `st_dev`): `MAJOR:MINOR`. Pure. */
export function deviceNumber(dev: number): string {
  const n = BigInt(dev);
  const major = ((n >> 8n) & 0xfffn) | ((n >> 32n) & ~0xfffn);
  const minor = (n & 0xffn) | ((n >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}

/** Sysfs counts in these, whatever the disk does (Documentation/ABI/stable/sysfs-block). */
const sectorBytes = 512;

/**
 * The names that udev has read, by device: the kernel knows none for a partition that was made while
 * it runs, as the other slot's is on a machine's first boot.
 */
function namesByDevice(dir = "/dev/disk/by-partlabel"): Map<string, string> {
  try {
    return new Map(readdirSync(dir).map((name) => [realpathSync(join(dir, name)), name]));
  } catch {
    // A machine without udev: the kernel's own names are left.
    return new Map();
  }
}

function partitionIn(dir: string, names: ReadonlyMap<string, string>): Partition | null {
  try {
    const uevent = readFileSync(join(dir, "uevent"), "utf8");
    const node = /^DEVNAME=(.+)$/m.exec(uevent)?.[1];
    const name = partitionName(uevent) ?? names.get(`/dev/${node}`) ?? null;
    if (name === null || node === undefined) return null;
    const sectors = Number(readFileSync(join(dir, "size"), "utf8"));
    return { name, device: `/dev/${node}`, sizeBytes: sectors * sectorBytes };
  } catch {
    // No partition: the disk's other entries, or one that has just gone.
    return null;
  }
}

export interface Disk {
  readonly partitions: readonly Partition[];
  /** The slot that is mounted as the root; null when the root is none. */
  readonly running: Slot | null;
}

/** The partitions of the disk under `/`. EIO where the root is on none. */
export function rootDisk(): Disk {
  const number = deviceNumber(statSync("/").dev);
  try {
    const root = realpathSync(`/sys/dev/block/${number}`);
    const disk = dirname(root);
    const names = namesByDevice();
    const found = readdirSync(disk).map((name) => partitionIn(join(disk, name), names));
    const slot = /^fazt-root-([ab])$/.exec(partitionIn(root, names)?.name ?? "")?.[1];
    return {
      partitions: found.filter((one) => one !== null),
      running: slot === "a" || slot === "b" ? slot : null,
    };
  } catch (cause) {
    throw new SysError("EIO", 'cannot look at the disk of "/": it has no partitions', { cause });
  }
}

/** The partition of a name. ENOENT. */
export function partitionNamed(disk: Disk, name: string): Partition {
  const found = disk.partitions.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new SysError("ENOENT", `cannot find "${name}": the disk has no such partition`, {
    hint: "the machine makes it on its first boot; the disk may be too small",
  });
}
