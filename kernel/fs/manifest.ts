/**
 * Manifests: the files of a release, immutable once put, and the read-only file system of one.
 *
 * Rules: a manifest is put whole or not at all; every blob it names is stored before; sizes are
 * the blobs' own, never the caller's word; directories are not stored, they follow from paths.
 */
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { Storage, Tx } from "../storage/mod.ts";
import type { Blobs, Filesystem, Hash, ManifestFile, Manifests, Page, Stat } from "./fs.ts";
import { contentTypeOf } from "./http.ts";
import { limits } from "./limits.ts";
import { isDirectory, manifestPathFault, noEntry, readOnly, shown } from "./path.ts";

interface FileRow {
  readonly path: string;
  readonly hash: Hash;
  readonly size_bytes: number;
  readonly mode: number;
}

const columns = "path, hash, size_bytes, mode";

function fileOf(row: FileRow): ManifestFile {
  return { path: row.path, hash: row.hash, sizeBytes: row.size_bytes, mode: row.mode };
}

/** Refuses a list of files that cannot be a manifest. EINVAL, EFBIG. Pure. */
function checkManifest(files: readonly ManifestFile[]): void {
  if (files.length > limits.manifestFilesMax) {
    throw new SysError("EINVAL", `cannot store manifest: too many files: ${files.length}`, {
      hint: `at most ${limits.manifestFilesMax}; leave out package caches and build output`,
    });
  }
  const seen = new Set<string>();
  let sizeBytes = 0;
  for (const file of files) {
    checkPath(file.path);
    if (seen.has(file.path)) refuse(file.path, "is there twice");
    if (!/^[0-9a-f]{64}$/.test(file.hash)) refuse(file.path, "its hash is not a SHA-256 in hex");
    seen.add(file.path);
    sizeBytes += file.sizeBytes;
  }
  checkTreeShape(seen);
  if (sizeBytes > limits.treeBytesMax) throw tooLarge();
}

function checkPath(path: string): void {
  const fault = manifestPathFault(path);
  if (fault !== null) refuse(path, fault);
}

/** No file may also be a directory of another file. */
function checkTreeShape(paths: ReadonlySet<string>): void {
  for (const path of paths) {
    for (let cut = path.indexOf("/"); cut > 0; cut = path.indexOf("/", cut + 1)) {
      if (paths.has(path.slice(0, cut))) refuse(path.slice(0, cut), "is a file and a directory");
    }
  }
}

function refuse(path: string, state: string): never {
  throw new SysError("EINVAL", `cannot store manifest: path ${shown(path)} ${state}`, {
    hint: 'use relative paths such as "public/index.html"',
  });
}

function tooLarge(): SysError {
  return new SysError("EFBIG", `cannot store manifest: over ${limits.treeBytesMax} bytes in all`, {
    hint: "keep large media outside the release, for example in /data",
  });
}

/** The manifests of one database. */
export function createManifests(deps: {
  machine: Machine;
  storage: Storage;
  blobs: Blobs;
}): Manifests {
  const { machine, storage, blobs } = deps;
  const get = (id: string, path: string): ManifestFile | null => {
    const row = storage.read.get<FileRow>(
      `SELECT ${columns} FROM fs_manifest_file WHERE manifest_id = ? AND path = ?`,
      id,
      path,
    );
    return row === null ? null : fileOf(row);
  };
  const list = (id: string, prefix = ""): ManifestFile[] =>
    listRows(storage, id, prefix).map(fileOf);
  return {
    get,
    list,
    async put(id, appId, files) {
      checkManifest(files);
      await storage.write((tx) => insert(tx, { id, appId, now: machine.now() }, files));
    },
    drop: (ids) => drop(storage, ids),
    filesystem: (id, modifiedAt) =>
      new ManifestFilesystem({
        blobs,
        modifiedAt,
        get: (path) => get(id, path),
        entries: (prefix, page) => entriesOf(storage, { id, prefix }, page),
        anyBelow: (prefix) => anyBelow(storage, id, prefix),
      }),
  };
}

/** Rows below a prefix, by path. Nothing sorts after U+10FFFF, so it bounds the range. */
function listRows(storage: Storage, id: string, prefix: string): FileRow[] {
  return storage.read.all<FileRow>(
    `SELECT ${columns} FROM fs_manifest_file ` +
      "WHERE manifest_id = ? AND path >= ? AND path < ? ORDER BY path",
    id,
    prefix,
    `${prefix}\u{10ffff}`,
  );
}

/** The names below a prefix: of each path its next component, a directory's once. */
const namesBelow = `
  SELECT DISTINCT iif(cut > 0, substr(rest, 1, cut - 1), rest) AS name,
    iif(cut > 0, NULL, path) AS path, iif(cut > 0, NULL, hash) AS hash,
    iif(cut > 0, 0, size_bytes) AS size_bytes, iif(cut > 0, 0, mode) AS mode
  FROM (SELECT *, instr(rest, '/') AS cut FROM (
    SELECT path, hash, size_bytes, mode, substr(path, ?1) AS rest FROM fs_manifest_file
    WHERE manifest_id = ?2 AND path >= ?3 AND path < ?4))
  WHERE name > ?5 ORDER BY name LIMIT ?6`;

/** A page of a directory of a manifest. SQLite gathers it: only the page comes into this process. */
function entriesOf(
  storage: Storage,
  { id, prefix }: { readonly id: string; readonly prefix: string },
  { after, limit }: Page,
): Entry[] {
  const first = [...prefix].length + 1;
  const bounds = [prefix, `${prefix}\u{10ffff}`, after, limit];
  return storage.read
    .all<NameRow>(namesBelow, first, id, ...bounds)
    .map(({ name, ...row }) => ({ name, file: isFile(row) ? fileOf(row) : null }));
}

type NameRow = { readonly name: string } & (FileRow | { readonly path: null });

const isFile = (row: { readonly path: string | null }): row is FileRow => row.path !== null;

function anyBelow(storage: Storage, id: string, prefix: string): boolean {
  const row = storage.read.get<{ path: string }>(
    "SELECT path FROM fs_manifest_file WHERE manifest_id = ? AND path >= ? AND path < ? LIMIT 1",
    id,
    prefix,
    `${prefix}\u{10ffff}`,
  );
  return row !== null;
}

function insert(
  tx: Tx,
  manifest: { id: string; appId: string; now: number },
  files: readonly ManifestFile[],
): void {
  tx.run(
    "INSERT INTO fs_manifest (id, app_id, created_at) VALUES (?, ?, ?)",
    manifest.id,
    manifest.appId,
    manifest.now,
  );
  let total = 0;
  for (const file of files) {
    const sql = "SELECT size_bytes FROM fs_blob WHERE hash = ?";
    const blob = tx.get<{ size_bytes: number }>(sql, file.hash);
    if (blob === null) throw missing(file);
    total += blob.size_bytes;
    tx.run(
      `INSERT INTO fs_manifest_file (manifest_id, ${columns}) VALUES (?, ?, ?, ?, ?)`,
      manifest.id,
      file.path,
      file.hash,
      blob.size_bytes,
      file.mode,
    );
  }
  if (total > limits.treeBytesMax) throw tooLarge();
}

const someFiles = `
  DELETE FROM fs_manifest_file WHERE manifest_id = ?1 AND path IN (
    SELECT path FROM fs_manifest_file WHERE manifest_id = ?1 LIMIT ?2)`;

/**
 * In steps that nobody waits for long; a manifest goes after its files, so that what a cut leaves
 * is dropped by the next who drops it.
 */
async function drop(storage: Storage, ids: readonly string[]): Promise<void> {
  let waiting = ids;
  const step = (tx: Tx): readonly string[] => {
    let left: number = limits.gcRowsPerWrite;
    for (const [at, id] of waiting.entries()) {
      if (left <= 0) return waiting.slice(at);
      const gone = tx.run(someFiles, id, left);
      if (gone === left) return waiting.slice(at);
      tx.run("DELETE FROM fs_manifest WHERE id = ?", id);
      left -= gone + 1;
    }
    return [];
  };
  while (waiting.length > 0) waiting = await storage.write(step, { essential: true });
}

function missing(file: ManifestFile): SysError {
  const message = `cannot store manifest: blob "${file.hash}" of ${shown(file.path)}: not stored`;
  return new SysError("ENOENT", message, { hint: "upload the missing blobs and deploy again" });
}

interface ManifestSource {
  readonly blobs: Blobs;
  readonly modifiedAt: number;
  get(path: string): ManifestFile | null;
  entries(prefix: string, page: Page): Entry[];
  anyBelow(prefix: string): boolean;
}

/** One name of a directory; without a file it is a directory too. */
interface Entry {
  readonly name: string;
  readonly file: ManifestFile | null;
}

/** One manifest as a file system: sealed, so that every change is EROFS. */
class ManifestFilesystem implements Filesystem {
  readonly readOnly = true;
  readonly #source: ManifestSource;

  constructor(source: ManifestSource) {
    this.#source = source;
  }

  stat(path: string): Stat | null {
    if (path === "/") return this.#directory(path);
    const file = this.#source.get(path.slice(1));
    if (file !== null) return this.#file(path, file);
    return this.#source.anyBelow(`${path.slice(1)}/`) ? this.#directory(path) : null;
  }

  ls(path: string, page: Page): Stat[] | null {
    const prefix = path === "/" ? "" : `${path.slice(1)}/`;
    const entries = this.#source.entries(prefix, page);
    if (entries.length === 0 && path !== "/" && !this.#source.anyBelow(prefix)) return null;
    return entries.map(({ name, file }) => {
      const at = `/${prefix}${name}`;
      return file === null ? this.#directory(at) : this.#file(at, file);
    });
  }

  read(path: string, range: { offset: number; length: number | null }): ReturnType<Blobs["open"]> {
    const file = this.#source.get(path.slice(1));
    if (file === null) {
      throw this.stat(path) === null ? noEntry("read", path) : isDirectory("read", path);
    }
    return { ...this.#source.blobs.open(file.hash, range), contentType: contentTypeOf(path) };
  }

  async write(path: string): Promise<never> {
    throw readOnly("write", path);
  }

  async mkdir(path: string): Promise<never> {
    throw readOnly("make directory", path);
  }

  async mv(from: string): Promise<never> {
    throw readOnly("move", from);
  }

  async rm(path: string): Promise<never> {
    throw readOnly("remove", path);
  }

  #file(path: string, file: ManifestFile): Stat {
    const { sizeBytes, hash, mode } = file;
    return { path, kind: "file", sizeBytes, modifiedAt: this.#source.modifiedAt, hash, mode };
  }

  #directory(path: string): Stat {
    const modifiedAt = this.#source.modifiedAt;
    return { path, kind: "dir", sizeBytes: 0, modifiedAt, hash: null, mode: 0o555 };
  }
}
