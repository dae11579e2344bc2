/** A storage in a directory of its own, for tests of this domain and of those above it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Machine, realMachine } from "../machine.ts";
import { createStorage, type StorageOptions } from "./create.ts";
import type { Storage } from "./storage.ts";

/** A temporary directory that is gone when the scope ends. */
export function temporaryDirectory(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "fazt-storage-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A storage that is closed and removed when the scope ends: `await using`. */
export function temporaryStorage(
  options: Partial<StorageOptions> = {},
): { readonly storage: Storage; readonly dataDir: string } & AsyncDisposable {
  const directory = temporaryDirectory();
  const dataDir = join(directory.path, "data");
  const machine = options.machine ?? realMachine();
  const storage = createStorage({ migrations: [], ...options, machine, dataDir });
  return {
    storage,
    dataDir,
    [Symbol.asyncDispose]: async () => {
      await storage.close();
      directory[Symbol.dispose]();
    },
  };
}

/** The real machine with a wall clock that can be moved. */
export function movableMachine(): Machine & { advance(ms: number): void } {
  const machine = realMachine();
  let offsetMs = 0;
  return {
    ...machine,
    now: () => machine.now() + offsetMs,
    monotonicMs: () => machine.monotonicMs() + offsetMs,
    advance: (ms) => {
      offsetMs += ms;
    },
  };
}
