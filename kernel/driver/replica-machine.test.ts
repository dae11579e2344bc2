/** What a kernel that was cut off left in `run/` is finished or removed by the next one. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { roomFor, swapIn, tidyRun } from "./replica-machine.ts";

let dataDir: string;
const at = (path: string): string => join(dataDir, path);
const text = (path: string): string => readFileSync(at(path), "utf8");

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "fazt-swap-"));
  for (const folder of ["run/replica/volumes", "volumes/app_a"]) {
    mkdirSync(at(folder), { recursive: true });
  }
  for (const end of ["", "-wal", "-shm"]) writeFileSync(at(`volumes/app_a/app.db${end}`), "old");
  writeFileSync(at("run/replica/volumes/app_a.db.json"), "{}");
});
afterEach(() => rmSync(dataDir, { recursive: true }));

function expectSwapped(): void {
  expect(text("volumes/app_a/app.db")).toBe("new");
  expect(readdirSync(at("volumes/app_a"))).toEqual(["app.db"]);
  expect(readdirSync(at("run"))).toEqual(["replica"]);
  expect(existsSync(at("run/replica/volumes/app_a.db.json"))).toBe(false);
}

test("a volume takes its place without the log of what was there", () => {
  writeFileSync(roomFor(dataDir, "app_a"), "new");
  swapIn(dataDir, "app_a");
  expectSwapped();
});

test("a swap that was cut off after its commit is finished, wherever that was", () => {
  writeFileSync(at("run/restored-app_a.db"), "new");
  tidyRun(dataDir);
  expectSwapped();

  writeFileSync(at("run/restored-app_a.db"), "new");
  rmSync(at("volumes"), { recursive: true });
  tidyRun(dataDir);
  expectSwapped();
});

test("what was not committed and what drills left goes; the rest stays", () => {
  mkdirSync(at("run/drill-x"));
  for (const name of ["drill-x/drill.db", "restore-app_a.db", "restore-app_a.db-wal", "lock"]) {
    writeFileSync(at(`run/${name}`), "left");
  }
  tidyRun(dataDir);
  expect(readdirSync(at("run")).sort()).toEqual(["lock", "replica"]);
  expect(text("volumes/app_a/app.db-wal")).toBe("old");
});

test("a directory without run/ is none to tidy", () => {
  rmSync(at("run"), { recursive: true });
  expect(() => tidyRun(dataDir)).not.toThrow();
});
