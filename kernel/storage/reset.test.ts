/** A factory reset: what is left, what asks for it, and a power cut in the middle of it. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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

test("the programs of upgrades stay, what was tried with them goes", async () => {
  await using k = await testKernel();
  const slots = join(k.dataDir, "slots");
  for (const name of ["a", "upload"]) mkdirSync(join(slots, name), { recursive: true });
  writeFileSync(join(slots, "a", "fazt"), "a program");
  writeFileSync(join(slots, "upload", "release.json"), "{}");
  const state = { format: 1, active: "a", history: [{ reason: 'app "blog" is gone' }] };
  writeFileSync(join(slots, "slots.json"), JSON.stringify(state));
  askReset(k.dataDir);
  await using fresh = await testKernel({ claimed: false, dataDir: (await close(k)).dataDir });
  expect(fresh.kernel.security.owner()).toBeNull();
  expect(readdirSync(slots).sort()).toEqual(["a", "slots.json"]);
  const left = JSON.parse(readFileSync(join(slots, "slots.json"), "utf8"));
  expect(left).toMatchObject({ format: 1, active: "a", history: [] });
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
