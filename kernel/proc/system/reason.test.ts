/** The reason in the words of its owner, and the facts it is made of. */
import { expect, test } from "bun:test";
import { bootsSince, osReleaseValue } from "./host.ts";
import { deviceNumber, partitionName } from "./partition.ts";
import { panicLine } from "./reason.ts";

test("the line of a panic is found in what the firmware kept", () => {
  const kept =
    "Panic#1 Part1\n<6>[    1.1] ok\n<0>[    2.5] Kernel panic - not syncing: VFS: no root\n";
  expect(panicLine(kept)).toBe("Kernel panic - not syncing: VFS: no root");
  expect(panicLine("nothing")).toBeNull();
});

test("boots of the journal since a time, without the running one", () => {
  const list = [
    { index: -2, boot_id: "aa", first_entry: 1_000_000 },
    { index: -1, boot_id: "bb", first_entry: 5_000_000 },
    { index: 0, boot_id: "cc", first_entry: 9_000_000 },
  ];
  expect(bootsSince(JSON.stringify(list), 2000, "c-c")).toEqual(["bb"]);
  expect(bootsSince("No journal files were found.", 0, "cc")).toEqual([]);
});

test("names of this machine's files are read as they are written", () => {
  expect(osReleaseValue('ID=debian\nIMAGE_VERSION="1.2.3"\n', "IMAGE_VERSION")).toBe("1.2.3");
  expect(partitionName("MAJOR=254\nPARTN=4\nPARTNAME=fazt-root-b\n")).toBe("fazt-root-b");
  expect(partitionName("MAJOR=254\n")).toBeNull();
  expect(deviceNumber(0xfe03)).toBe("254:3");
});
