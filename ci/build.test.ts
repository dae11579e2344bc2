/** When the executable counts as built: by what it is made of. */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inputHash } from "./build.ts";

test("the hash follows the names and bytes of sources, not tests and other files", () => {
  const base = `${mkdtempSync(join(tmpdir(), "fazt-build-"))}/`;
  mkdirSync(`${base}kernel/fs`, { recursive: true });
  writeFileSync(`${base}kernel/fs/a.ts`, "1");
  const first = inputHash(base);

  writeFileSync(`${base}kernel/fs/a.test.ts`, "1");
  writeFileSync(`${base}README.md`, "1");
  expect(inputHash(base)).toBe(first);

  writeFileSync(`${base}kernel/fs/a.ts`, "2");
  expect(inputHash(base)).not.toBe(first);
  writeFileSync(`${base}kernel/fs/a.ts`, "1");
  expect(inputHash(base)).toBe(first);

  renameSync(`${base}kernel/fs/a.ts`, `${base}kernel/fs/b.ts`);
  expect(inputHash(base)).not.toBe(first);
  rmSync(base, { recursive: true });
});
