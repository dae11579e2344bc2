/**
 * Putting a backup into a data directory: all of it or nothing of it.
 *
 * Order, each step durable before the next
 * 1. The directory is locked as a kernel locks it; `restore-new` is filled from the backup.
 * 2. Every section is verified against its hash, the trailer is seen, SQLite finds `data.db` whole:
 *    in a sandboxed process that sees nothing else, where there is one.
 * 3. `restore-new` is renamed `restore-ready`. This is the commit: before it nothing has changed,
 *    after it the restore is finished by whoever opens the directory next (`finishRestore`).
 * 4. Item by item what was there goes to `restore-old` and what is ready takes its place; a cut
 *    anywhere is gone on with, because an item that has moved is no longer in `restore-ready`.
 * 5. `restore-ready` is removed, then `restore-old`.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { assert } from "../../assert.ts";
import { type Errno, errnos, isErrno, SysError } from "../../errno.ts";
import { syncPath } from "../../sync.ts";
import { takeDataDir } from "../datadir.ts";
import { type EncloseCheck, lookApart } from "./apart.ts";
import { checkWhole } from "./child-check.ts";
import { type BackupHeader, damaged, readBackup } from "./format.ts";
import { type Unlock, unsealed } from "./seal.ts";

export interface RestoreOptions extends Unlock {
  readonly dataDir: string;
  /** Replaces what the directory holds; without it a directory with a database is EEXIST. */
  readonly force: boolean;
  /** The 32 bytes of a machine key, for a backup that holds none; null for none. */
  readonly key: Uint8Array | null;
  /** Where the backup's database is looked through; absent: in this process. */
  readonly enclose?: EncloseCheck | null;
}

export interface Restored extends BackupHeader {
  /** Bytes of all sections. */
  readonly sizeBytes: number;
  /** Where the machine key is from; `absent`: sealed secrets cannot be read. */
  readonly key: "backup" | "given" | "kept" | "absent";
}

const places = { fresh: "restore-new", ready: "restore-ready", old: "restore-old" } as const;

/** A failure of the file system as an errno. */
function fileRefusal(error: unknown): unknown {
  if (error instanceof SysError || !(error instanceof Error) || !("code" in error)) return error;
  const code: Errno = isErrno(error.code) ? error.code : "EIO";
  return new SysError(code, `cannot restore: ${errnos[code].meaning}`, {
    hint: code === "ENOSPC" ? "free space for the whole backup, then try again" : "see the path",
    cause: error,
  });
}

/** Takes sections in, one after the other, below a directory. */
class Unpacking {
  readonly #root: string;
  #file: number | null = null;

  constructor(root: string) {
    this.#root = root;
  }

  begin(name: string): void {
    assert(this.#file === null, "one section at a time");
    const path = join(this.#root, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#file = openSync(path, "wx", 0o600);
  }

  data(bytes: Uint8Array): void {
    assert(this.#file !== null, "bytes belong to a section");
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
  }

  end(): void {
    assert(this.#file !== null, "a section that ends has begun");
    fsyncSync(this.#file);
    this.close();
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}

/** Reads a backup to its end and verifies every byte; keeps nothing when `into` is null. */
export async function verifyBackup(
  bytes: AsyncIterable<Uint8Array>,
  unlock: Unlock,
  into: string | null = null,
): Promise<BackupHeader & { readonly sizeBytes: number }> {
  const unpacking = into === null ? null : new Unpacking(into);
  let header: BackupHeader | null = null;
  try {
    for await (const event of readBackup(unsealed(bytes, unlock))) {
      if (event.kind === "header") header = event.header;
      else if (event.kind === "begin") unpacking?.begin(event.name);
      else if (event.kind === "data") unpacking?.data(event.bytes);
      else if (event.kind === "end") unpacking?.end();
      else if (header !== null) return { ...header, sizeBytes: event.sizeBytes };
    }
  } finally {
    unpacking?.close();
  }
  throw damaged("the file", "has no end");
}

function writeKey(path: string, key: Uint8Array): void {
  const file = openSync(path, "wx", 0o600);
  try {
    writeSync(file, key);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Every directory of a tree, so that its names are on the disk. */
function syncTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) syncTree(join(path, entry.name));
  }
  syncPath(path);
}

function move(from: string, to: string): void {
  if (!existsSync(from)) return;
  rmSync(to, { recursive: true, force: true });
  renameSync(from, to);
}

/**
 * Finishes a restore that was committed, and forgets one that was not. Called by whoever holds the
 * lock of the directory, before its database is opened. Idempotent.
 */
export function finishRestore(dataDir: string): void {
  const at = (place: keyof typeof places, name = ""): string => join(dataDir, places[place], name);
  rmSync(at("fresh"), { recursive: true, force: true });
  if (existsSync(at("ready"))) {
    mkdirSync(at("old"), { recursive: true, mode: 0o700 });
    // The database last: while it is the old one, the old machine is whole but for its volumes.
    for (const name of ["machine.key", "volumes", "data.db"]) {
      if (!existsSync(at("ready", name))) continue;
      const parts = name === "data.db" ? [name, `${name}-wal`, `${name}-shm`] : [name];
      for (const part of parts) move(join(dataDir, part), at("old", part));
      // A log of what was there, found beside what is there now, would be applied to it.
      syncPath(dataDir);
      renameSync(at("ready", name), join(dataDir, name));
      syncPath(dataDir);
    }
    rmSync(at("ready"), { recursive: true, force: true });
    syncPath(dataDir);
  }
  rmSync(at("old"), { recursive: true, force: true });
}

function keyOf(options: RestoreOptions, header: BackupHeader): Restored["key"] {
  if (header.sections.includes("machine.key")) return "backup";
  if (options.key !== null) return "given";
  return existsSync(join(options.dataDir, "machine.key")) ? "kept" : "absent";
}

/** What is to take the place of a data directory's content. */
export interface Replacement<T> {
  readonly dataDir: string;
  readonly force: boolean;
  /** Puts `data.db`, `volumes/` and perhaps `machine.key` into this directory, and checks them. */
  fill(fresh: string): Promise<T>;
}

/** Makes what is to take the place, and commits to it; `finishRestore` does the rest. */
async function fillFresh<T>({ dataDir, fill }: Pick<Replacement<T>, "dataDir" | "fill">) {
  const fresh = join(dataDir, places.fresh);
  try {
    mkdirSync(join(fresh, "volumes"), { recursive: true, mode: 0o700 });
    const filled = await fill(fresh);
    syncTree(fresh);
    renameSync(fresh, join(dataDir, places.ready));
    syncPath(dataDir);
    return filled;
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    throw fileRefusal(error);
  }
}

/**
 * Replaces what a data directory holds, all of it or nothing. EEXIST, EBUSY (a kernel runs there),
 * ENOSPC, EACCES, EROFS, and what `fill` refuses with.
 */
export async function replaceData<T>({ dataDir, force, fill }: Replacement<T>): Promise<T> {
  const held = takeDataDir(dataDir);
  try {
    finishRestore(dataDir);
    if (existsSync(join(dataDir, "data.db")) && !force) {
      throw new SysError("EEXIST", `cannot restore into "${dataDir}": it holds a database`, {
        hint: "name an empty directory, or replace what is there with --force",
      });
    }
    const filled = await fillFresh({ dataDir, fill });
    finishRestore(dataDir);
    return filled;
  } finally {
    held.release();
  }
}

/**
 * The same for the kernel that runs on the directory: when this resolves, the next kernel that opens
 * it finds what was filled in, and nothing of this one. ENOSPC, and what `fill` refuses with.
 */
export function replaceDataAtNextOpen<T>(
  how: Pick<Replacement<T>, "dataDir" | "fill">,
): Promise<T> {
  rmSync(join(how.dataDir, places.fresh), { recursive: true, force: true });
  return fillFresh(how);
}

/** Puts a key that was given into what is made. */
export function writeMachineKey(fresh: string, key: Uint8Array): void {
  writeKey(join(fresh, "machine.key"), key);
}

/**
 * Restores a backup. EEXIST, EBUSY (a kernel runs there), EBADMSG (damaged, newer, no backup),
 * ENOKEY, EKEYREJECTED (encrypted), ENOSPC, EACCES, EROFS.
 */
export async function restoreBackup(
  bytes: AsyncIterable<Uint8Array>,
  options: RestoreOptions,
): Promise<Restored> {
  const { dataDir, force } = options;
  const fill = async (fresh: string): Promise<Restored> => {
    const header = await verifyBackup(bytes, options, fresh);
    if (options.enclose == null) checkWhole(join(fresh, "data.db"));
    else await lookApart(join(fresh, "data.db"), { enclose: options.enclose, as: "data.db" });
    const key = keyOf(options, header);
    if (key === "given" && options.key !== null) writeMachineKey(fresh, options.key);
    return { ...header, key };
  };
  return replaceData({ dataDir, force, fill });
}
