/**
 * One file of a release on its way to this machine: fetched, continued where it stopped, hashed,
 * unpacked, hashed again, and only then given its name.
 *
 * Rules: no more bytes are taken than the manifest says; a name is given after fsync, by rename, so
 * that what has it is whole; what was fetched of a file that proves wrong is thrown away, what was
 * fetched of one that broke off is kept and gone on with, until another one is fetched to its place.
 */
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { type FileHandle, open, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import { continueAfterMs, continuesMax, sourceSilenceMsMax } from "./limits.ts";
import type { Artifact } from "./manifest.ts";
import type { Source } from "./source.ts";

export interface FetchOptions {
  readonly machine: Machine;
  readonly signal: AbortSignal;
  /** The file that is to be there in the end. */
  readonly into: string;
  /** Its mode; 0600 when it is absent. */
  readonly mode?: number;
  /** Bytes that are here, of the file as it is published. */
  readonly progress?: (doneBytes: number) => void;
}

/** The size and hash of what an artifact is when it is unpacked. */
export const unpackedOf = ({ packed, sizeBytes, sha256 }: Artifact) =>
  packed ?? { sizeBytes, sha256 };

/**
 * Brings an artifact to `into`. ENOSPC, EBADMSG (not what was signed), ENOENT, ETIMEDOUT, EIO,
 * ECANCELED.
 */
export async function fetchArtifact(
  source: Source,
  artifact: Artifact,
  options: FetchOptions,
): Promise<void> {
  const { into } = options;
  const directory = dirname(into);
  await refuseFull(directory, artifact);
  const part = join(directory, `${artifact.sha256}.part`);
  dropOthers(directory, part);
  try {
    await download(source, artifact, { ...options, into: part });
    await refuseOther(part, artifact.name, artifact);
    const draft = artifact.packed === null ? part : `${into}.new`;
    if (artifact.packed !== null) await unpack(part, draft, artifact);
    nameIt(draft, into, options.mode ?? 0o600);
    rmSync(part, { force: true });
  } catch (error) {
    rmSync(`${into}.new`, { force: true });
    const wrong = error instanceof SysError && error.code === "EBADMSG";
    if (wrong) rmSync(part, { force: true });
    throw error;
  }
}

/** What broke off of a file that is not wanted any more is of no use to anybody. */
function dropOthers(directory: string, part: string): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (name.endsWith(".part") && path !== part) rmSync(path, { force: true });
  }
}

/** ENOSPC where a file of a release, unpacked as well, has no room. */
export async function refuseFull(directory: string, artifact: Artifact): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const packedBytes = artifact.packed === null ? 0 : artifact.sizeBytes;
  const needBytes = unpackedOf(artifact).sizeBytes + packedBytes;
  if (bavail * bsize >= needBytes) return;
  const mb = (bytes: number) => `${Math.ceil(bytes / 1_048_576)} MB`;
  throw new SysError(
    "ENOSPC",
    `cannot fetch "${artifact.name}": it needs ${mb(needBytes)}, and ${mb(bavail * bsize)} are free`,
    { hint: "remove old releases of apps, or run: fazt storage gc" },
  );
}

/** Fetches the file as it is published, from where an earlier try stopped. */
async function download(source: Source, artifact: Artifact, options: FetchOptions): Promise<void> {
  const { machine, signal, into } = options;
  const file = await open(into, existsSync(into) ? "r+" : "w+", 0o600);
  try {
    for (let tries = 0; ; tries++) {
      const { size } = await file.stat();
      if (size === artifact.sizeBytes) break;
      if (size > artifact.sizeBytes) await file.truncate(0);
      const failure = await receive(source, artifact, { ...options, file });
      if (failure === null) break;
      const after = (await file.stat()).size;
      // As long as it comes nearer, it is gone on with.
      if (after > size) tries = 0;
      if (tries >= continuesMax || signal.aborted) throw failure;
      await passed(machine, continueAfterMs * 2 ** tries);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

const passed = (machine: Machine, ms: number): Promise<void> =>
  new Promise((resolve) => void machine.after(ms, resolve));

/** Takes what the source gives; null: it is whole, otherwise why it broke off. */
async function receive(
  source: Source,
  { name, sizeBytes }: Artifact,
  options: FetchOptions & { readonly file: FileHandle },
): Promise<SysError | null> {
  const { file, machine, signal, progress } = options;
  const failed = (state: string, cause?: unknown) =>
    new SysError("EIO", `cannot fetch "${name}": ${state}`, {
      hint: "try again; what was downloaded is kept",
      cause,
    });
  const silent = new AbortController();
  const gone = AbortSignal.any([signal, silent.signal]);
  let timer = machine.after(sourceSilenceMsMax, () => silent.abort());
  try {
    const { stream, offset } = await source.open(name, (await file.stat()).size, gone);
    await file.truncate(offset);
    let at = offset;
    for await (const bytes of stream) {
      timer.cancel();
      timer = machine.after(sourceSilenceMsMax, () => silent.abort());
      if (at + bytes.length > sizeBytes) throw tooLong(name);
      await file.write(bytes, 0, bytes.length, at);
      at += bytes.length;
      progress?.(at);
    }
    // An end in order, and nothing since the last one: there is no more of it.
    if (at === offset && at < sizeBytes) throw tooShort(name, at, sizeBytes);
    return at === sizeBytes ? null : failed(`it broke off after ${at} of ${sizeBytes} bytes`);
  } catch (error) {
    if (signal.aborted) throw new SysError("ECANCELED", `cannot fetch "${name}": it was canceled`);
    // Nothing that is asked again would answer otherwise.
    if (error instanceof SysError && ["ENOENT", "EBADMSG"].includes(error.code)) throw error;
    return error instanceof SysError ? error : failed("the connection broke", error);
  } finally {
    timer.cancel();
  }
}

const damaged = (name: string, state: string): SysError =>
  new SysError("EBADMSG", `cannot trust "${name}": ${state}`, {
    hint: "fetch the release again from where it was published; nothing of it was used",
  });

const tooLong = (name: string): SysError => damaged(name, "it is longer than what was signed");

const tooShort = (name: string, bytes: number, sizeBytes: number): SysError =>
  damaged(name, `it ends after ${bytes} of ${sizeBytes} bytes`);

/** EBADMSG when the file is not what was signed. */
async function refuseOther(
  path: string,
  name: string,
  { sizeBytes, sha256 }: { sizeBytes: number; sha256: string },
): Promise<void> {
  const { size } = statSync(path);
  if (size !== sizeBytes) throw damaged(name, `it has ${size} bytes, and not ${sizeBytes}`);
  if ((await hashOf(path)) !== sha256)
    throw damaged(name, "its hash is not the one that was signed");
}

/** The SHA-256 of a file, read from the disk. */
export async function hashOf(path: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const bytes of Bun.file(path).stream()) {
    hash.update(bytes);
    // What is in memory already comes without a pause: others are answered in between.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return hash.digest("hex");
}

/** Unpacks into a new file, no further than was signed, and reads it back. */
async function unpack(from: string, to: string, { name, packed }: Artifact): Promise<void> {
  if (packed === null) return;
  rmSync(to, { force: true });
  const file = await open(to, "wx", 0o600);
  try {
    let size = 0;
    const unpacked = Bun.file(from).stream().pipeThrough(new DecompressionStream("zstd"));
    for await (const bytes of unpacked) {
      size += bytes.length;
      if (size > packed.sizeBytes) throw tooLong(name);
      await file.write(bytes);
    }
    await file.sync();
  } catch (error) {
    throw error instanceof SysError ? error : damaged(name, "it cannot be unpacked");
  } finally {
    await file.close();
  }
  await refuseOther(to, name, packed);
}

/** Gives a file that is on the disk its mode and its name, both for good. */
function nameIt(draft: string, into: string, mode: number): void {
  const directory = openSync(dirname(into), "r");
  try {
    const file = openSync(draft, "r+");
    try {
      fchmodSync(file, mode);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, into);
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
