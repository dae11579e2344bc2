/** A kernel that refuses to boot lets go of its data directory. */
import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testKernel } from "../tests/kernel.ts";

test("what is refused after the database was opened leaves the directory free", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-test-"));
  const first = await testKernel({ dataDir });
  await first.close();
  const path = join(dataDir, "machine.key");
  const key = readFileSync(path);
  chmodSync(path, 0o600);
  writeFileSync(path, "no key");
  await expect(testKernel({ dataDir })).rejects.toThrow(/machine\.key/);
  writeFileSync(path, key);
  await using again = await testKernel({ dataDir });
  expect(again.kernel.security.owner()).not.toBeNull();
});
