/** A factory reset: what is left, what asks for it, and a power cut in the middle of it. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testKernel } from "../../tests/kernel.ts";
import { askReset } from "./reset.ts";

test("a machine that was asked to forget everything is nobody's at next start", async () => {
  await using k = await testKernel();
  await k.call("fs.write", { path: "/home/a" }, { body: new Blob(["mine"]).stream() });
  const code = k.kernel.security.setupCode();
  expect(code).toBeNull();
  writeFileSync(join(k.dataDir, "run", "note"), "");
  askReset(k.dataDir);
  await using fresh = await testKernel({ claimed: false, dataDir: (await close(k)).dataDir });
  expect(fresh.kernel.security.owner()).toBeNull();
  expect(await fresh.call<object[]>("fs.ls", { path: "/home" })).toEqual([]);
  expect(existsSync(join(fresh.dataDir, "run", "reset"))).toBe(false);
  expect(existsSync(join(fresh.dataDir, "run", "note"))).toBe(false);
});

test("what a power cut left of it is gone on with", async () => {
  await using k = await testKernel();
  await close(k);
  askReset(k.dataDir);
  writeFileSync(join(k.dataDir, "machine.key"), "");
  writeFileSync(join(k.dataDir, "logs.db"), "half");
  await using fresh = await testKernel({ claimed: false, dataDir: k.dataDir });
  expect(fresh.kernel.security.owner()).toBeNull();
  expect(readdirSync(k.dataDir)).toContain("machine.key");
});

test("other words in the file ask for nothing", async () => {
  await using k = await testKernel();
  writeFileSync(join(k.dataDir, "run", "reset"), "erase");
  await using same = await testKernel({ dataDir: (await close(k)).dataDir });
  expect(same.kernel.security.owner()).not.toBeNull();
});

async function close<T extends { close(): Promise<void> }>(kernel: T): Promise<T> {
  await kernel.close();
  return kernel;
}
