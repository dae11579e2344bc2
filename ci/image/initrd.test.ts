/** The archive is one that others read, and modules come after what they stand on. */
import { expect, test } from "bun:test";
import { cpio, loadOrder } from "./initrd.ts";

test("an entry is a header of fixed width, its name and its bytes, each padded to four", () => {
  const text = new TextDecoder();
  const archive = cpio([{ name: "init", mode: 0o100755, bytes: new TextEncoder().encode("#!") }]);
  expect(text.decode(archive.subarray(0, 22))).toBe("07070100000001000081ed");
  expect(text.decode(archive.subarray(110, 114))).toBe("init");
  expect(text.decode(archive.subarray(116, 118))).toBe("#!");
  expect(archive.length % 4).toBe(0);
  expect(text.decode(archive)).toContain("TRAILER!!!");
});

test("loads a module after everything below it, once", () => {
  const dep = [
    "kernel/a/virtio_blk.ko.xz: kernel/a/virtio_ring.ko.xz kernel/a/virtio.ko.xz",
    "kernel/a/virtio_ring.ko.xz: kernel/a/virtio.ko.xz",
    "kernel/a/virtio.ko.xz:",
    "kernel/a/other.ko.xz:",
  ].join("\n");
  expect(loadOrder(dep, ["virtio_blk", "virtio-ring", "built_in"])).toEqual([
    { path: "kernel/a/virtio.ko.xz", needs: [] },
    { path: "kernel/a/virtio_ring.ko.xz", needs: ["virtio"] },
    { path: "kernel/a/virtio_blk.ko.xz", needs: ["virtio_ring", "virtio"] },
  ]);
});
