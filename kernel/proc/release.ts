/**
 * Releases on the host's disk: what a process needs of its release, as real files, because the
 * runtime loads code by path. Everything but what is served (`public`) and what is read through
 * the kernel (`private`).
 *
 * Rules: each kernel has a directory of its own, a cache that the next one throws away; a release appears
 * whole or not at all (a temporary directory, then a rename), and goes in the same way; files are
 * read-only.
 */

import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { chmod, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Release } from "../app/mod.ts";
import { SysError } from "../errno.ts";
import type { Fs, ManifestFile } from "../fs/mod.ts";

export interface ReleaseFiles {
  /** The directory of a release, written when it is not there. ENOEXEC, ENOSPC, EIO. */
  materialise(release: Release): Promise<string>;
  /** Keeps a release until this settles: its process starts. */
  hold(releaseId: string, life: Promise<unknown>): void;
  /** Removes every release but these, those that are held, and those that are being written. */
  keep(releaseIds: ReadonlySet<string>): Promise<void>;
}

/** In `parent`, beside those of the processes `beside`, which hand over to this one. */
export function createReleaseFiles(
  fs: Pick<Fs, "manifests" | "blobs">,
  parent: string,
  beside: readonly number[] = [],
): ReleaseFiles {
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    if (beside.includes(Number(name))) continue;
    rmSync(join(parent, name), { recursive: true, force: true });
  }
  const dir = join(parent, String(process.pid));
  const known = new Map<string, Promise<string>>();
  const holds = new Set<{ readonly id: string }>();
  let removed = 0;
  const hold = (id: string, life: Promise<unknown>): void => {
    const held = { id };
    holds.add(held);
    const drop = () => void holds.delete(held);
    life.then(drop, drop);
  };
  const write = async (release: Release): Promise<string> => {
    const target = join(dir, release.id);
    const draft = `${target}.draft`;
    await rm(draft, { recursive: true, force: true });
    for (const file of needed(release, fs.manifests.list(release.id))) {
      await writeFile(fs, join(draft, file.path), file);
    }
    await rename(draft, target);
    return target;
  };
  return {
    materialise(release) {
      const found = known.get(release.id);
      if (found !== undefined) return found;
      const writing = write(release).catch((error: unknown) => {
        known.delete(release.id);
        throw diskError(release, error);
      });
      known.set(release.id, writing);
      hold(release.id, writing);
      return writing;
    },
    hold,
    async keep(releaseIds) {
      const held = new Set([...holds].map(({ id }) => id));
      const gone = [...known.keys()].filter((id) => !releaseIds.has(id) && !held.has(id));
      // All at once, so that one that is wanted meanwhile is written afresh and not half removed.
      const places = gone.map((id) => {
        known.delete(id);
        const place = join(dir, `${id}.gone-${removed++}`);
        if (existsSync(join(dir, id))) renameSync(join(dir, id), place);
        return place;
      });
      for (const place of places) await rm(place, { recursive: true, force: true });
    },
  };
}

/** The files a process may need by path; the entry must be among them. Pure but for ENOEXEC. */
function needed(release: Release, files: readonly ManifestFile[]): ManifestFile[] {
  const { server, public: served } = release.manifest;
  const below = (path: string, folder: string) => folder !== "" && path.startsWith(`${folder}/`);
  const found = files.filter(({ path }) => {
    return path === server || !(below(path, served) || below(path, "private"));
  });
  if (server === null || !found.some(({ path }) => path === server)) {
    throw new SysError("ENOEXEC", `cannot run release ${release.number}: no server entry`, {
      hint: 'name the entry in app.json under "server"',
    });
  }
  return found;
}

async function writeFile(fs: Pick<Fs, "blobs">, path: string, from: ManifestFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "wx");
  try {
    for await (const bytes of fs.blobs.open(from.hash).stream) await file.writeFile(bytes);
  } finally {
    await file.close();
  }
  await chmod(path, 0o444);
}

function diskError(release: Release, error: unknown): unknown {
  if (error instanceof SysError) return error;
  const code = (error as { code?: unknown }).code === "ENOSPC" ? "ENOSPC" : "EIO";
  const state = code === "ENOSPC" ? "no space left" : "the disk refused";
  return new SysError(code, `cannot write release ${release.number} to disk: ${state}`, {
    cause: error,
  });
}
