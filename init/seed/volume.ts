/**
 * Volumes by their label, mounted read-only where nobody else looks. What is on them was made by a
 * stranger: no programs, devices or links out of it, and no file larger than a configuration is.
 */
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
} from "node:fs";
import { join } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import { type Machine, realMachine } from "../../kernel/machine.ts";
import type { Volume } from "./source.ts";

/** Where udev links devices by the label of their file system. */
const byLabel = "/dev/disk/by-label";

/** Bytes of a file on a volume. */
const fileBytesMax = 1024 * 1024;

const path = "/usr/sbin:/usr/bin:/sbin:/bin";

async function run(command: readonly string[]): Promise<string | null> {
  const program = Bun.which(command[0] ?? "", { PATH: path });
  if (program === null) return "no such program";
  const child = Bun.spawn([program, ...command.slice(1)], {
    env: { PATH: path },
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  const code = await child.exited;
  return code === 0 ? null : said.trim() || `it ended with ${code}`;
}

/** The device of a volume with one of these labels, or null. */
export function findVolume(labels: readonly string[], dir = byLabel): string | null {
  const label = labels.find((one) => existsSync(join(dir, one)));
  return label === undefined ? null : join(dir, label);
}

/** The text of a file below a directory. EFBIG, EIO; null when it is not there. */
export function readBelow(dir: string, name: string): string | null {
  const path = join(dir, name);
  if (!existsSync(path)) return null;
  const inside = realpathSync(path).startsWith(`${realpathSync(dir)}/`);
  if (!inside || !lstatSync(realpathSync(path)).isFile()) {
    throw new SysError("EIO", `cannot read "${name}": it is no file of the volume`);
  }
  if (lstatSync(realpathSync(path)).size > fileBytesMax) {
    throw new SysError("EFBIG", `cannot read "${name}": more than ${fileBytesMax} bytes`);
  }
  return readFileSync(path, "utf8");
}

/** Mounts a device read-only. EIO with mount's own words. */
export async function mountVolume(device: string): Promise<Volume> {
  const dir = mkdtempSync("/run/fazt-seed-");
  const failed = await run(["mount", "-o", "ro,nosuid,nodev,noexec", device, dir]);
  if (failed !== null) {
    rmdirSync(dir);
    throw new SysError("EIO", `cannot mount "${device}": ${failed}`);
  }
  return {
    read: (name) => readBelow(dir, name),
    close: async () => {
      const stuck = (await run(["umount", dir])) !== null;
      if (!stuck || (await run(["umount", "--lazy", dir])) === null) rmdirSync(dir);
    },
  };
}

/** Kinds of SCSI devices that are block devices: disk, optical, and RBC (SPC-5, 6.6.2, table 150). */
const blockTypes = ["0", "5", "14"];

/**
 * The SCSI devices that are to become block devices and are not yet: their drivers begin beside
 * whoever loads them, and nothing else tells that one is to come.
 */
export function comingDisks(dir = "/sys/bus/scsi/devices"): string[] {
  const text = (path: string) => {
    try {
      return readFileSync(path, "utf8").trim();
    } catch {
      // A host or a target, or gone since.
      return "";
    }
  };
  const names = existsSync(dir) ? readdirSync(dir) : [];
  return names.filter(
    (name) =>
      blockTypes.includes(text(join(dir, name, "type"))) && !existsSync(join(dir, name, "block")),
  );
}

/** A machine without acceleration and with much to do needs some 20 s; the wizard is there meanwhile. */
const settleMsMax = 90_000;
const lookEveryMs = 100;

/**
 * Waits until udev has named the devices there are, discs too, whose drivers nobody else waits for
 * (fazt-devices.service). A device that never comes holds nothing up but this, and for 90 s at most.
 */
export async function settleDevices(machine: Machine = realMachine()): Promise<void> {
  const endMs = machine.monotonicMs() + settleMsMax;
  const settled = async () => {
    const leftS = Math.ceil((endMs - machine.monotonicMs()) / 1000);
    return leftS > 0 && (await run(["udevadm", "settle", `--timeout=${leftS}`])) === null;
  };
  await run(["systemctl", "start", "fazt-devices.service"]);
  while (await settled()) {
    const coming = comingDisks();
    if (coming.length === 0) break;
    await new Promise<void>((resolve) => machine.after(lookEveryMs, resolve));
  }
  // Those that have come meanwhile have to get their names.
  await settled();
}
