/** Which program a start becomes, on a disk that takes no more. */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSlots, type slots } from "../../kernel/proc/upgrade/mod.ts";
import { chosenAt } from "./begin.ts";

test("a start that cannot be written down runs the active program all the same", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-begin-"));
  try {
    const base = { version: "1.0.0", sizeBytes: 100 };
    const store = openSlots(dataDir, base);
    const slot = { version: "1.1.0", sha256: "0".repeat(64), sizeBytes: 10, installedAt: 1 };
    store.change((state) => ({ ...state, a: slot, active: "a", previous: "base" }));
    const start: slots.Start = { at: 2, base, bootId: "b" };
    expect(chosenAt(store, start)).toBe("a");
    // Nothing can be written there any more.
    mkdirSync(join(dataDir, "slots", "slots.json.new"));
    const before = store.read();
    expect(chosenAt(store, { ...start, bootId: "c" })).toBe("a");
    expect(store.read()).toEqual(before);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});
