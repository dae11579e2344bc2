/**
 * For the tests of storage: a storage in a directory of its own, a clock that can be moved, and a
 * process that writes until it is killed (`bun testing.ts DATA_DIR ROUND`).
 */
import { mkdtempSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Machine, realMachine } from "../machine.ts";
import { createStorage, type Storage, type StorageOptions } from "./storage.ts";

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

/** What a key must hold: small values, and every eighth one over several pages. Pure. */
export function heldBy(key: string): string {
  const n = Number(key.slice(key.lastIndexOf("/") + 1));
  return `${key}:${"v".repeat(n % 8 === 0 ? 30_000 : 50)}`;
}

/** Whose keys the writer writes. */
export const writerScope = { appId: "app_crash", userId: null };

/** 16 writers; prints each key once its write has been acknowledged, a line each. */
async function writeForever(dataDir: string, round: string): Promise<void> {
  const storage = createStorage({ machine: realMachine(), dataDir, migrations: [] });
  const writers = Array.from({ length: 16 }, async (_, writer) => {
    for (let n = 0; ; n++) {
      const key = `${round}/${writer}/${n}`;
      await storage.kv.set(writerScope, { key, value: heldBy(key) });
      writeSync(1, `${key}\n`);
    }
  });
  await Promise.all(writers);
}

if (import.meta.main) {
  const [dataDir = "", round = ""] = process.argv.slice(2);
  await writeForever(dataDir, round);
}
