/** What fazt init says of a failed boot is what the console reads, and is gone when all is well. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { broken } from "../tests/console.ts";
import { readTrouble, tellTrouble } from "./trouble.ts";

test("told, read, gone", () => {
  const dir = mkdtempSync(join(tmpdir(), "fazt-trouble-"));
  const env = { FAZT_RUN: join(dir, "run") };
  expect(readTrouble(env)).toBeNull();
  tellTrouble(broken, env);
  expect(readTrouble(env)).toEqual(broken);
  tellTrouble(null, env);
  expect(readTrouble(env)).toBeNull();
  rmSync(dir, { recursive: true });
});
