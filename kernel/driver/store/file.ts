/**
 * A replica in a directory: the same keys as paths, readable by `litestream restore file://…`.
 *
 * Rules: an object is written beside its place, fsynced, and renamed into it; the directory itself
 * must be there (a disk that is not mounted must not be mistaken for an empty one).
 */
import { randomUUID } from "node:crypto";
import { linkSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isErrno, SysError } from "../../errno.ts";
import { sha256 } from "../format/mod.ts";
import type { ReplicaStore, StoredObject, Versioned } from "./store.ts";

const readBytes = 1024 * 1024;
/** Milliseconds after which nobody writes on at a draft: its writer was killed. */
const draftMsMax = 24 * 3_600_000;

function refusal(error: unknown, action: string): unknown {
  if (error instanceof SysError || !(error instanceof Error) || !("code" in error)) return error;
  const { code } = error;
  const known = code === "EPERM" ? "EACCES" : isErrno(code) ? code : "EIO";
  if (known === "ENOSPC") return noRoom(action, error);
  return new SysError(known, `cannot ${action}: ${error.code}`, { cause: error });
}

function noRoom(action: string, cause: unknown): SysError {
  return new SysError("ENOSPC", `cannot ${action}: its disk is full (ENOSPC)`, {
    hint: "make room where the replica is, or set another place: fazt driver replica set",
    cause,
  });
}

async function guarded<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw refusal(error, action);
  }
}

/** A store in this directory. */
export function openFileStore(root: string): ReplicaStore {
  return new FileStore(root);
}

class FileStore implements ReplicaStore {
  readonly kind = "file";
  readonly place: string;
  readonly #root: string;
  #swept = false;

  constructor(root: string) {
    this.#root = root;
    this.place = `file://${root}`;
  }

  probe(): Promise<void> {
    return guarded(`use "${this.#root}" for a replica`, async () => {
      await mkdir(this.#root, { recursive: true, mode: 0o700 });
      await this.put("fazt/probe", new Uint8Array(1));
      await this.remove(["fazt/probe"]);
    });
  }

  async *list(prefix: string, after = ""): AsyncGenerator<StoredObject> {
    const from = prefix.slice(0, prefix.lastIndexOf("/") + 1);
    yield* this.#walk(from, { prefix, after });
  }

  /** A folder sorts as its name with a slash does, so that keys come in their order. */
  async *#walk(
    folder: string,
    wanted: { readonly prefix: string; readonly after: string },
  ): AsyncGenerator<StoredObject> {
    const { prefix, after } = wanted;
    const entries = await readdir(join(this.#root, folder), { withFileTypes: true }).catch(gone);
    const keys = entries.map((entry) => `${folder}${entry.name}${entry.isDirectory() ? "/" : ""}`);
    for (const key of keys.sort()) {
      if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue;
      if (key.endsWith("/")) {
        if (key !== "fazt/draft/") yield* this.#walk(key, wanted);
        continue;
      }
      if (!key.startsWith(prefix) || key <= after) continue;
      const found = await stat(join(this.#root, key)).catch(() => null);
      if (found === null) continue;
      yield { key, sizeBytes: found.size, modifiedAt: Math.round(found.mtimeMs) };
    }
  }

  async names(prefix: string): Promise<string[]> {
    const path = join(this.#root, prefix);
    const entries = await readdir(path, { withFileTypes: true }).catch(gone);
    return entries.map((entry) => `${entry.name}${entry.isDirectory() ? "/" : ""}`).sort();
  }

  async *get(key: string): AsyncGenerator<Uint8Array> {
    const file = await guarded(`read "${key}"`, () => open(join(this.#root, key), "r"));
    try {
      for (;;) {
        const buffer = new Uint8Array(readBytes);
        const { bytesRead } = await file.read(buffer);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  put(key: string, bytes: Uint8Array): Promise<void> {
    return this.putStream(key, once(bytes));
  }

  putStream(key: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    return guarded(`write "${key}"`, async () => {
      const draft = await this.#draft(pieces);
      await this.#place(key, (target) => rename(draft, target));
    });
  }

  async #draft(pieces: AsyncIterable<Uint8Array>): Promise<string> {
    await stat(this.#root);
    const folder = join(this.#root, "fazt/draft");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const draft = join(folder, randomUUID());
    const file = await open(draft, "wx", 0o600);
    try {
      for await (const piece of pieces) await file.appendFile(piece);
      await file.sync();
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    await this.#sweep(folder, draft);
    return draft;
  }

  /** Once: drafts that were left, by the disk's own clock, which the newest one tells. */
  async #sweep(folder: string, newest: string): Promise<void> {
    if (this.#swept) return;
    this.#swept = true;
    const { mtimeMs } = await stat(newest);
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const found = await stat(path).catch(() => null);
      const left = found !== null && found.mtimeMs < mtimeMs - draftMsMax;
      if (left) await rm(path, { force: true });
    }
  }

  async #place(key: string, into: (target: string) => Promise<void> | void): Promise<void> {
    const target = join(this.#root, key);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await into(target);
    const folder = await open(dirname(target), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      await guarded(`remove "${key}"`, () => rm(join(this.#root, key), { force: true }));
    }
  }

  async look(key: string): Promise<Versioned | null> {
    const bytes = await readFile(join(this.#root, key)).catch((error) => {
      if (error.code === "ENOENT") return null;
      throw refusal(error, `read "${key}"`);
    });
    return bytes === null ? null : { bytes, version: sha256(bytes) };
  }

  async swap(key: string, bytes: Uint8Array, version: string | null): Promise<boolean> {
    const found = await this.look(key);
    if ((found?.version ?? null) !== version) return false;
    if (version !== null) {
      await this.put(key, bytes);
      return true;
    }
    return guarded(`write "${key}"`, async () => {
      const draft = await this.#draft(once(bytes));
      try {
        // A second name is refused where there is a first: two claimants cannot both succeed.
        await this.#place(key, (target) => linkSync(draft, target));
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
        throw error;
      } finally {
        await rm(draft, { force: true });
      }
    });
  }

  hurry(): void {
    // A disk is not waited for over a network.
  }

  close(): void {
    // Nothing is held open.
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A folder that is not there holds nothing. */
function gone(error: NodeJS.ErrnoException): [] {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
  throw refusal(error, "list the replica");
}
