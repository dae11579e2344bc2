/** An upgrade on a disk that takes no more. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publish, releaseKey } from "../../../tests/appliance.ts";
import { testKernel } from "../../../tests/kernel.ts";
import { until } from "../../../tests/process.ts";
import { openSlots, publicKeyOf, type SlotStore } from "./mod.ts";

test("what cannot be written down ends no kernel, and is told when there is room again", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fazt-upgrade-"));
  let full = false;
  let refused = 0;
  const slots = (dataDir: string) => {
    const real = openSlots(dataDir, { version: "0.0.0-test", sizeBytes: 1 });
    const change: SlotStore["change"] = (by) => {
      if (!full) return real.change(by);
      refused++;
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    };
    const keys = () => [publicKeyOf(releaseKey)];
    return { store: { ...real, change }, place: "base" as const, keys, order: () => undefined };
  };
  try {
    await using k = await testKernel({ slots });
    // Without a source nothing is tried, and the history tells of nothing.
    const nowhere = k.call("proc.upgrade.start", {});
    await expect(nowhere).rejects.toMatchObject({ code: "ENOENT" });
    expect(k.kernel.upgrade.slots().history).toEqual([]);
    const from = publish(dir, { binary: "program" }, { version: "9.0.0", minFrom: "0.0.0-0" });
    const begun = await k.call<{ id: string }>("proc.upgrade.start", { from });
    full = true;
    // What it found, and what became of it.
    await until("nothing can be written", () => refused > 1);
    expect(await k.call<object>("proc.slots")).toMatchObject({ last: { outcome: "under way" } });
    full = false;
    const last = () => k.kernel.upgrade.slots().history[0];
    await until("it is told", () => last()?.outcome === "failed");
    expect(last()).toMatchObject({ id: begun.id, reason: "no space left on device" });
    await k.call("proc.upgrade.start", { from });
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 60_000);
