/**
 * Releases: staging, switching and forgetting them. Immutable once staged, so they and the sites
 * compiled from them are remembered, bounded, for as long as they are useful.
 *
 * Order: rows name a manifest before it exists and until it is gone, so that a cut at any point
 * leaves a row that gc can follow, never files nobody knows. What frees space, or puts an owner's
 * app back in order, goes through on a full disk too (`essential`).
 */
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Fs, Site } from "../fs/mod.ts";
import type { Machine } from "../machine.ts";
import type { Storage, Tx } from "../storage/mod.ts";
import type { Deploy, Release } from "./app.ts";
import { limits } from "./limits.ts";
import { readAppName } from "./manifest.ts";
import { appIdOf, releaseRow } from "./row.ts";
import { siteRules } from "./view.ts";

/** A deploy that can be staged, or EINVAL, EFBIG naming what is wrong. Pure. */
export function checkDeploy({ name, manifest, files }: Deploy): void {
  readAppName(name, "deploy");
  const refuse = (code: "EINVAL" | "EFBIG", state: string, hint: string): never => {
    throw new SysError(code, `cannot deploy "${name}": ${state}`, { hint });
  };
  if (files.length === 0) refuse("EINVAL", "no files", "add public/index.html or a server");
  if (files.length > limits.releaseFilesMax) {
    const hint = "leave folders such as package caches out with .faztignore";
    refuse("EINVAL", `${files.length} files, the limit is ${limits.releaseFilesMax}`, hint);
  }
  const paths = new Set<string>();
  let sizeBytes = 0;
  for (const file of files) {
    const shown = JSON.stringify(file.path.slice(0, 200));
    if (paths.has(file.path)) refuse("EINVAL", `${shown} is listed twice`, "list each file once");
    paths.add(file.path);
    sizeBytes += file.sizeBytes;
    if (file.sizeBytes > limits.fileBytesMax) {
      refuse("EFBIG", `${shown} is over ${limits.fileBytesMax} bytes`, "keep large files in /data");
    }
  }
  if (sizeBytes > limits.releaseBytesMax) {
    const hint = `the limit is ${limits.releaseBytesMax} bytes; keep data in /data`;
    refuse("EFBIG", `${sizeBytes} bytes of files`, hint);
  }
  if (manifest.server !== null && !paths.has(manifest.server)) {
    const shown = JSON.stringify(manifest.server);
    refuse("EINVAL", `the server entry ${shown} is not among the files`, 'correct "server"');
  }
  for (const path of paths) {
    for (let cut = path.lastIndexOf("/"); cut > 0; cut = path.lastIndexOf("/", cut - 1)) {
      const folder = path.slice(0, cut);
      if (!paths.has(folder)) continue;
      refuse("EINVAL", `${JSON.stringify(folder)} is a file and a folder`, "rename one of them");
    }
  }
}

/** What a stage is about: ids are drawn before anything is written. */
export interface Staging {
  readonly deploy: Deploy;
  readonly releaseId: string;
  /** The id a new app gets. */
  readonly newAppId: string;
  readonly userId: Caller["userId"];
  readonly egressAgreed: boolean;
}

export interface Releases {
  /** Staged ones too. ENOENT. */
  get(releaseId: string): Release;
  site(release: Release): Site;
  /** Writes the app's row when it is new, and the release's. Answers the app's id. */
  insert(staging: Staging): Promise<{ appId: string; created: boolean }>;
  /**
   * Points the app at a release, with `also` in the same write. `staged`: it has never been current.
   * ENOENT when either is gone, or the release is being erased.
   */
  point(release: Release, how: { staged: boolean; also?: (tx: Tx) => void }): Promise<void>;
  /** Erases releases with their manifests; only those that are staged or condemned. */
  erase(releaseIds: readonly string[]): Promise<void>;
}

const unswitched = "SELECT 1 FROM app_release WHERE id = ? AND switched_at IS NULL";

/** Remembers the newest `max` values of `make`, by key. */
function remembered<T>(max: number, make: (key: string) => T) {
  const kept = new Map<string, T>();
  return {
    get(key: string): T {
      const found = kept.get(key);
      if (found !== undefined) return found;
      const made = make(key);
      const oldest = kept.size >= max ? kept.keys().next().value : undefined;
      if (oldest !== undefined) kept.delete(oldest);
      kept.set(key, made);
      return made;
    },
    drop: (key: string) => void kept.delete(key),
  };
}

export function createReleases(on: { machine: Machine; storage: Storage; fs: Fs }): Releases {
  const { machine, storage, fs } = on;

  const cache = remembered(limits.releasesCached, (id) => {
    const release = releaseRow(storage.read, id);
    if (release !== null) return release;
    throw new SysError("ENOENT", `no such release: ${id.slice(0, 100)}`, {
      hint: "fazt app releases lists those of an app",
    });
  });
  const sites = remembered(limits.releasesCached, (id) => {
    const release = cache.get(id);
    const has = (path: string) =>
      path.endsWith("/")
        ? fs.manifests.list(id, path).length > 0
        : fs.manifests.get(id, path) !== null;
    return fs.site(id, siteRules(release, has));
  });

  const insertRows = (tx: Tx, { deploy, releaseId, newAppId, userId, egressAgreed }: Staging) => {
    const at = machine.now();
    const known = appIdOf(tx, deploy.name);
    const appId = known ?? newAppId;
    if (known === null) {
      tx.run(
        "INSERT INTO app_app (app_id, user_id, name, created_at) VALUES (?, ?, ?, ?)",
        appId,
        userId,
        deploy.name,
        at,
      );
    }
    tx.run(
      `INSERT INTO app_release
         (id, app_id, user_id, number, created_at, message, file_count, size_bytes, egress_agreed,
          manifest)
       SELECT ?, ?, ?, 1 + coalesce(max(number), 0), ?, ?, ?, ?, ?, ?
         FROM app_release WHERE app_id = ?`,
      releaseId,
      appId,
      userId,
      at,
      deploy.message,
      deploy.files.length,
      deploy.files.reduce((sum, file) => sum + file.sizeBytes, 0),
      egressAgreed ? 1 : 0,
      JSON.stringify(deploy.manifest),
      appId,
    );
    return { appId, created: known === null };
  };

  const pointRows = (tx: Tx, release: Release, staged: boolean) => {
    const gone = (what: string): never => {
      throw new SysError("ENOENT", `cannot switch to release ${release.id}: ${what} is gone`, {
        hint: "deploy again",
      });
    };
    const at = machine.now();
    // One that has been current and is not marked so any more is condemned (`collect.ts`).
    const switched = `UPDATE app_release SET switched_at = coalesce(switched_at, ?)
      WHERE id = ? AND (switched_at IS NOT NULL OR ?)`;
    if (tx.run(switched, at, release.id, staged ? 1 : 0) === 0) gone("the release");
    const current = "UPDATE app_app SET release_id = ? WHERE app_id = ? AND removed_at IS NULL";
    if (tx.run(current, release.id, release.appId) === 0) gone("the app");
  };

  return {
    get: (releaseId) => cache.get(releaseId),
    site: (release) => sites.get(release.id),
    insert: (staging) => storage.write((tx) => insertRows(tx, staging)),
    point: (release, { staged, also }) =>
      storage.write(
        (tx) => {
          also?.(tx);
          pointRows(tx, release, staged);
        },
        // Going back to a release frees an owner from a bad one; what comes beside it may grow.
        { essential: also === undefined },
      ),
    async erase(releaseIds) {
      const unseen = releaseIds.filter((id) => storage.read.get(unswitched, id) !== null);
      if (unseen.length === 0) return;
      await fs.manifests.drop(unseen);
      await storage.write(
        (tx) => {
          for (const id of unseen) tx.run("DELETE FROM app_release WHERE id = ?", id);
        },
        { essential: true },
      );
      for (const id of unseen) {
        cache.drop(id);
        sites.drop(id);
      }
    },
  };
}
