/**
 * The app domain's interface: programs, their releases and their settings.
 *
 * Rules: data belongs to the stable id, never to the name; a release is immutable; the switch to
 * another release is one row in one transaction; an app that is removed keeps its data 30 days.
 */
import type { Caller } from "../caller.ts";
import type { ManifestFile, Site } from "../fs/mod.ts";
import type { Tx } from "../storage/mod.ts";
import type { Imported, ImportOptions } from "./cartridge/mod.ts";
import type { Manifest } from "./manifest.ts";

export interface App {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  /** Current release, or null before the first deploy. */
  readonly releaseId: string | null;
  /** True after `proc stop`, until `proc start-app`; remembered over restarts. */
  readonly stopped: boolean;
  /** When it was removed, or null. */
  readonly removedAt: number | null;
}

export interface Release {
  readonly id: string;
  readonly appId: string;
  /** 1, 2, 3 … within the app. */
  readonly number: number;
  readonly createdAt: number;
  readonly message: string;
  readonly fileCount: number;
  readonly sizeBytes: number;
  /** Who deployed it could agree to the hosts its manifest asks for (`net:write`). */
  readonly egressAgreed: boolean;
  readonly manifest: Manifest;
}

/** What is uploaded: blobs are there already (`fs.blobs`). */
export interface Deploy {
  readonly name: string;
  readonly manifest: Manifest;
  readonly files: readonly ManifestFile[];
  readonly message: string;
  /** Out of a cartridge: whoever brings it in has not agreed to what its manifest asks for. */
  readonly foreign?: boolean;
}

/** One variable to set. */
export interface EnvEntry {
  readonly name: string;
  readonly value: string;
  readonly secret: boolean;
}

/** One variable as it is listed: `value` is null for secrets. */
export interface EnvInfo {
  readonly name: string;
  readonly secret: boolean;
  readonly value: string | null;
  readonly updatedAt: number;
}

/** What happened to an app; told after it is durable, in order. */
export type AppEvent =
  | { readonly kind: "switched"; readonly app: App; readonly release: Release }
  | { readonly kind: "changed"; readonly app: App }
  /** `heir`: the app that has taken its place, and is to be found where it was. */
  | { readonly kind: "removed"; readonly app: App; readonly heir?: App }
  /** It will not come back: whatever is kept for it is to be erased. Told before its own row goes. */
  | { readonly kind: "purged"; readonly app: App }
  /** A release that will not be current after all: what was started to prove it must end. */
  | { readonly kind: "abandoned"; readonly app: App; readonly release: Release };

/** Told of an event; `rm` with `purge` waits for the answer (bounded) before it erases data. */
export type Watcher = (event: AppEvent) => void | Promise<void>;

export interface Apps {
  ls(): App[];
  /** By name or id; removed apps are not found. ENOENT with the nearest name as hint. */
  get(nameOrId: string): App;
  find(nameOrId: string): App | null;
  /**
   * Whose data a call is about: an app always its own (EPERM when it names another), everybody
   * else the app they name (EINVAL when they name none, ENOENT).
   */
  subject(caller: Caller, name: string | undefined): App;
  release(releaseId: string): Release;
  releases(appId: string): Release[];
  /** The static half of a release, compiled and cached. */
  site(release: Release): Site;
  /**
   * Makes the app when it is new and its next release, not yet current. EINVAL, ENOENT (a blob is
   * missing), EBUSY (another deploy of this app is under way until `switchTo` or `abandon`).
   */
  stage(from: Caller, deploy: Deploy): Promise<{ app: App; release: Release; created: boolean }>;
  /**
   * Makes a release the current one, atomically, and tells the watchers. EBUSY (a deploy of
   * another release is under way), ENOENT (the app or the release is gone). `also` is done in the
   * same write.
   */
  switchTo(release: Release, also?: (tx: Tx) => void): Promise<App>;
  /** Forgets a staged release and the app it would have made; an earlier release stays. */
  abandon(release: Release): Promise<void>;
  setStopped(appId: string, stopped: boolean): Promise<App>;
  /** EEXIST, EINVAL (not a name, or a reserved one), ENOENT, EBUSY. Data stays: it belongs to the id. */
  rename(nameOrId: string, to: string): Promise<App>;
  /** Frees the name. With `purge` nothing of it is left, else its data stays 30 days. */
  rm(nameOrId: string, options: { purge: boolean }): Promise<void>;
  /** Those that were removed and can be brought back, the latest first; and until when (Unix ms). */
  removed(): { readonly app: App; readonly purgeAt: number }[];
  /** Brings a removed app back with all it had: the latest of that name, or an id. ENOENT, EEXIST. */
  restore(nameOrId: string, as: string | undefined): Promise<App>;

  /**
   * An app as a cartridge: the bytes of one SQLite file (`cartridge/item.ts`). ENOENT (never deployed),
   * EBUSY (its volume cannot be locked), ENOSPC.
   */
  exportCartridge(app: App, fazt: string): Promise<ReadableStream<Uint8Array>>;
  /** Makes an app of a cartridge, wholly or not at all (`cartridge/import.ts`). */
  importCartridge(options: ImportOptions): Promise<Imported>;
  /** The files of a cartridge, put among the blobs for a manifest. EBADMSG, EPERM (no sandbox), ENOSPC. */
  unpackCartridge(body: ReadableStream<Uint8Array>): Promise<ManifestFile[]>;

  env: {
    /** Names, and whether each is a secret; values of secrets are never listed. */
    ls(appId: string): EnvInfo[];
    /** All of `entries` or none. EINVAL (name), EFBIG (value), EDQUOT (too many). */
    set(appId: string, entries: EnvEntry[], from: Caller): Promise<void>;
    /** ENOENT with the nearest name as hint. */
    rm(appId: string, name: string): Promise<void>;
    /** Everything the process gets: the manifest's defaults, then these; secrets unsealed. */
    resolve(release: Release): Record<string, string>;
    /**
     * A secret that the release's manifest names under `permissions`, which its environment leaves
     * out. EACCES (it does not), ENOENT (there is none), EBADMSG (it cannot be unsealed).
     */
    secret(release: Release, name: string): string;
  };

  /** Calls `told` for every event from now on; the answer stops it. */
  watch(told: Watcher): () => void;
  /**
   * Has this done in the very write that puts an app (`heir`) in another one's place, so that what
   * others keep of the one is the other's whenever the power fails. Ids.
   */
  onReplace(move: Move): void;
}

/** Moves what is kept of an app to the one that takes its place. */
export type Move = (tx: Tx, appId: string, heir: string) => void;
