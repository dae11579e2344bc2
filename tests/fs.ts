/**
 * The real fs over a real database in a temporary directory, with a clock that can be moved, and
 * real files to put into it: those of the npm packages that are installed anyway.
 *
 *     await using at = await testFs();
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../ci/with.mjs";
import {
  createFs,
  type Fs,
  migrations as fsMigrations,
  type ManifestFile,
} from "../kernel/fs/mod.ts";
import { type Machine, realMachine } from "../kernel/machine.ts";
import { migrations as securityMigrations } from "../kernel/security/mod.ts";
import { createStorage, type Storage } from "../kernel/storage/mod.ts";

export interface TestFs extends AsyncDisposable {
  readonly fs: Fs;
  readonly storage: Storage;
  readonly machine: Machine;
  readonly dataDir: string;
  /** Moves the wall clock. */
  advance(ms: number): void;
  /** Stores bytes and answers them as a file of a manifest. */
  store(path: string, bytes: Uint8Array | string): Promise<ManifestFile>;
  /** Rows of a table of fs. */
  rows(table: string): number;
}

/** An fs of its own. */
export async function testFs(options: { cacheBytesMax?: number } = {}): Promise<TestFs> {
  const directory = mkdtempSync(join(tmpdir(), "fazt-fs-"));
  const real = realMachine();
  let offsetMs = 0;
  const machine: Machine = { ...real, now: () => real.now() + offsetMs };
  const dataDir = join(directory, "data");
  const migrations = [...securityMigrations, ...fsMigrations];
  const storage = createStorage({ machine, dataDir, migrations });
  const fs = createFs({ machine, storage, ...options });
  return {
    fs,
    storage,
    machine,
    dataDir,
    advance: (ms) => {
      offsetMs += ms;
    },
    async store(path, bytes) {
      const { hash, sizeBytes } = await fs.blobs.put({ hash: null }, new Blob([bytes]).stream());
      return { path, hash, sizeBytes, mode: 0o644 };
    },
    rows: (table) =>
      storage.read.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)?.n ?? Number.NaN,
    [Symbol.asyncDispose]: async () => {
      await fs.settled();
      await storage.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Files of an installed package by relative path, at most `max` of them. */
export async function packageFiles(name: string, max: number): Promise<Map<string, Uint8Array>> {
  const folder = join(root, "node_modules", name);
  const files = new Map<string, Uint8Array>();
  for await (const path of new Bun.Glob("**/*").scan({ cwd: folder, dot: false })) {
    if (files.size >= max) break;
    files.set(path, await Bun.file(join(folder, path)).bytes());
  }
  return files;
}

/** Bytes that no compression or deduplication makes smaller, the same for the same seed. */
export function noise(sizeBytes: number, seed: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let state = seed >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state >>> 0;
  }
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

/** The whole of a stream. */
export function drain(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Response(stream).bytes();
}
