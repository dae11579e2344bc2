/** A slot is written whole or counts as empty, and never holds what was not promised. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testHost, testRelease } from "../../../tests/appliance.ts";
import { emptySlot, mustHaveMarker, readMarker, verifySlot, writeBoot, writeRoot } from "./slot.ts";

test("what is written is what was promised, and is found whole", async () => {
  using host = testHost();
  const release = testRelease(host.dir, "2.0.0");
  const boot = join(host.dir, "boot");
  await writeRoot(release.root, host.rootOf("b"));
  await writeBoot(boot, "b", release);
  const { device } = host.rootOf("b");
  expect(mustHaveMarker(boot, "b")).toMatchObject({ version: "2.0.0" });
  await verifySlot(boot, "b", device);
  expect(readFileSync(device).subarray(0, 11).toString()).toBe("root 2.0.0 ");

  // One byte of it changes on the disk.
  const bytes = readFileSync(device);
  bytes[20_000] = 0;
  writeFileSync(device, bytes);
  await expect(verifySlot(boot, "b", device)).rejects.toMatchObject({ code: "EIO" });
  emptySlot(boot, "b");
  expect(readMarker(boot, "b")).toBeNull();
  await expect(verifySlot(boot, "b", device)).rejects.toMatchObject({ code: "ENOENT" });
});

test("a part that is other, shorter or longer than promised is refused, and marks nothing", async () => {
  using host = testHost();
  const { root, ...release } = testRelease(host.dir, "2.0.0");
  const boot = join(host.dir, "boot");
  for (const wrong of [{ sha256: "0".repeat(64) }, { sizeBytes: 39_999 }, { sizeBytes: 40_001 }]) {
    const part = { ...root, ...wrong };
    await expect(writeRoot(part, host.rootOf("b"))).rejects.toMatchObject({ code: "EBADMSG" });
  }
  const large = { ...root, sizeBytes: 70_000 };
  await expect(writeRoot(large, host.rootOf("b"))).rejects.toMatchObject({ code: "EFBIG" });
  const initrd = { ...release.initrd, sha256: "0".repeat(64) };
  const bad = writeBoot(boot, "b", { ...release, root, initrd });
  await expect(bad).rejects.toMatchObject({ code: "EBADMSG" });
  expect(existsSync(join(boot, "fazt/b/system.json"))).toBe(false);
});
