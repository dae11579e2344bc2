/** A volume by its label: really mounted, read-only, and gone afterwards. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { mayMount } from "../../tests/disk.ts";
import { folderOf } from "./fixture.ts";
import { comingDisks, findVolume, mountVolume } from "./volume.ts";

const mke2fs = Bun.which("mke2fs", { PATH: "/usr/sbin:/sbin:/usr/bin" });
const can = mayMount && mke2fs !== null;
const why = can ? "" : " (skipped: no right to mount, or no mke2fs)";

describe.skipIf(!can)(`a volume${why}`, () => {
  test("is found by its label, read, and let go", async () => {
    using folder = folderOf({ "files/user-data": "#fazt\n", "by-label/x": "" });
    const image = join(folder.path, "image");
    const make = [
      "-q",
      "-t",
      "ext4",
      "-L",
      "CIDATA",
      "-d",
      join(folder.path, "files"),
      image,
      "4M",
    ];
    expect(Bun.spawnSync([mke2fs ?? "", ...make]).exitCode).toBe(0);
    const labels = join(folder.path, "by-label");
    expect(findVolume(["CIDATA", "cidata"], labels)).toBeNull();
    mkdirSync(labels, { recursive: true });
    symlinkSync(image, join(labels, "cidata"));
    const device = findVolume(["CIDATA", "cidata"], labels);
    const volume = await mountVolume(device ?? "");
    const mounts = () => readFileSync("/proc/self/mounts", "utf8").split("\n");
    const own = () => mounts().filter((line) => line.includes("/run/fazt-seed-"));
    expect(volume.read("user-data")).toBe("#fazt\n");
    expect(volume.read("meta-data")).toBeNull();
    expect(own().join()).toMatch(/ ro,.*nosuid,nodev,noexec/);
    await volume.close();
    expect(own()).toEqual([]);
  });

  test("that holds no file system is refused", async () => {
    using folder = folderOf({ image: "nothing" });
    await expect(mountVolume(join(folder.path, "image"))).rejects.toThrow("cannot mount");
  });
});

test("a SCSI disk or disc without a block device is still to come; other devices are not", () => {
  using folder = folderOf({
    "scsi/0:0:0:0/type": "0\n",
    "scsi/1:0:0:0/type": "5\n",
    "scsi/1:0:0:0/block/sr0": "",
    "scsi/2:0:0:0/type": "5\n",
    "scsi/3:0:0:0/type": "3\n",
    "scsi/host0/uevent": "",
  });
  expect(comingDisks(join(folder.path, "scsi")).sort()).toEqual(["0:0:0:0", "2:0:0:0"]);
  expect(comingDisks(join(folder.path, "none"))).toEqual([]);
});
