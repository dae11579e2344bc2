/**
 * The image as a machine, from firmware to an answering kernel; QEMU without acceleration, so one
 * machine proves many things.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bootVm, growVmDisk, makeVmDisk } from "./vm.ts";

/** Tells what must be so in every machine that is up. */
const probe = `
import { readFileSync, statfsSync } from "node:fs";
const run = (...words) => Bun.spawnSync(words).stdout.toString().trim();
const disk = statfsSync("/var/lib/fazt");
console.log(JSON.stringify({
  failed: run("systemctl", "--failed", "--no-legend", "--plain"),
  tainted: readFileSync("/proc/sys/kernel/tainted", "utf8").trim(),
  dataBytes: disk.blocks * disk.bsize,
  mounts: readFileSync("/proc/mounts", "utf8").trim().split("\\n"),
}));
`;

interface Probed {
  readonly failed: string;
  readonly tainted: string;
  readonly dataBytes: number;
  readonly mounts: readonly string[];
}

test("boots under BIOS and again under UEFI, on another bus, and takes a larger disk", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fazt-disk-"));
  try {
    const disk = await makeVmDisk(join(dir, "disk.qcow2"));
    await using first = await bootVm({ firmware: "bios", disk, probe });
    expect(await first.up(300_000)).toMatchObject({ status: "ok", mode: "setup" });
    const before = JSON.parse(await first.probed()) as Probed;
    expect(before).toMatchObject({ failed: "", tainted: "0" });
    await first.powerOff();
    expect(first.serial.text).toContain("[ stop ] stopped in");

    await growVmDisk(disk, "8G");
    await using second = await bootVm({ firmware: "uefi", bus: "scsi", disk, probe });
    await second.up(300_000);
    const after = JSON.parse(await second.probed()) as Probed;
    expect(after).toMatchObject({ failed: "", tainted: "0" });
    expect(after.dataBytes - before.dataBytes).toBeGreaterThan(3.8e9);
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 900_000);
