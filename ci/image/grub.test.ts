/** The boot sector finds its core, and the state block has its size. */
import { expect, test } from "bun:test";
import { grubEnvironment, tie } from "./grub.ts";

test("writes the core's place into both sectors and leaves the partition table's place alone", () => {
  const { bootSector, core } = tie(new Uint8Array(512), new Uint8Array(2048), 2048);
  expect(bootSector.length).toBe(440);
  expect(new DataView(bootSector.buffer).getBigUint64(0x5c, true)).toBe(2048n);
  expect(new DataView(core.buffer).getBigUint64(500, true)).toBe(2049n);
});

test("a state block is 1024 bytes that begin as GRUB wants them", () => {
  const block = grubEnvironment({ good: "a", left: "" });
  expect(block.length).toBe(1024);
  expect(block.startsWith("# GRUB Environment Block\ngood=a\nleft=\n###")).toBe(true);
});
