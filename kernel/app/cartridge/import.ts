/**
 * A cartridge becomes an app: all of it or nothing of it.
 *
 * Order
 * 1. Release, files, pairs, documents and volume are brought in under a new id and a name of the
 *    moment (`import-…`); the release is staged, so a cut at any point leaves what gc sweeps at the
 *    next boot, and nobody is served by it.
 * 2. The process that reads the file has verified all of it; a server proves itself on that data.
 * 3. One transaction gives it its name and makes the release current; the app that had the name
 *    before, when it is replaced, is removed in the same transaction and kept 30 days.
 * Into an app that stays (`merge`), the content of the draft is joined instead: see `merge.ts`.
 * Nothing in a cartridge is believed: every item passes the same checks as a call of its kind.
 */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Caller } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import type { ManifestFile } from "../../fs/mod.ts";
import type { Tx } from "../../storage/mod.ts";
import type { App, Apps, Release } from "../app.ts";
import type { Parts } from "../create.ts";
import { limits } from "../limits.ts";
import { readAppName, readManifest } from "../manifest.ts";
import { appIdOf } from "../row.ts";
import { damagedCartridge } from "./frame.ts";
import type { ItemOf } from "./item.ts";
import { mergeInto } from "./merge.ts";
import { Reader } from "./reader.ts";
import type { CartridgeProgram } from "./run.ts";

/** What is done when there is an app of that name: refuse, leave it, replace it, or join them. */
export type ImportMode = "refuse" | "skip" | "overwrite" | "merge";

export interface ImportOptions {
  readonly from: Caller;
  readonly body: ReadableStream<Uint8Array>;
  readonly signal: AbortSignal;
  /** Another name than the cartridge's. */
  readonly name: string | undefined;
  readonly mode: ImportMode;
  /** Runs the release until it is ready, or throws. */
  readonly prove: (app: App, release: Release) => Promise<void>;
}

export interface Imported {
  readonly app: App;
  /** False when there was an app of that name and it was left as it is. */
  readonly imported: boolean;
  /** The id of the app that was replaced. */
  readonly replaced: string | null;
  /** Whether the app was there and is now joined with what the cartridge had. */
  readonly merged: boolean;
  /** Secrets the app had where it comes from and does not have here: to be set. */
  readonly missingSecrets: string[];
}

export interface ImportParts extends Parts {
  readonly program: CartridgeProgram;
  readonly apps: Pick<Apps, "stage" | "abandon" | "release" | "switchTo"> & {
    readonly env: Apps["env"];
  };
}

class Import {
  readonly #on: ImportParts;
  readonly #options: ImportOptions;
  readonly #reader: Reader;

  constructor(on: ImportParts, options: ImportOptions) {
    this.#on = on;
    this.#options = options;
    this.#reader = new Reader(on.program.read(options.body));
  }

  async run(): Promise<Imported> {
    try {
      const meta = await this.#reader.item("meta");
      if (meta === null) throw damagedCartridge("its head", "is not there");
      const name = readAppName(this.#options.name ?? meta.name, "import as");
      const there = this.#there(name);
      if (there !== null && this.#options.mode === "skip") {
        return { app: there, imported: false, replaced: null, merged: false, missingSecrets: [] };
      }
      return await this.#bringIn(name, meta);
    } finally {
      await this.#reader.close();
    }
  }

  #there(name: string): App | null {
    const { directory, holds } = this.#on;
    const there = directory.ls().find((app) => app.name === name) ?? null;
    if (there === null) return null;
    if (this.#options.mode === "refuse") throw taken(name);
    holds.check(there.id, "import over", "");
    return there;
  }

  async #bringIn(name: string, meta: ItemOf<"meta">): Promise<Imported> {
    const { apps, machine } = this.#on;
    const { manifest, files } = await acceptable(async () => ({
      manifest: readManifest(jsonOf(meta.manifest, "its app.json")),
      files: await this.#files(),
    }));
    // A name of the moment: its own, and one that no person chooses.
    const draft = `import-${machine.id("x").slice(-16)}`;
    const deploy = { name: draft, manifest, files, message: meta.message, foreign: true };
    const staged = await acceptable(() => apps.stage(this.#options.from, deploy));
    const { app, release } = staged;
    try {
      const missingSecrets = await acceptable(() => this.#content(app, name));
      const target = this.#options.mode === "merge" ? this.#there(name) : null;
      if (target !== null) {
        const merge = { from: app, into: target, deploy: { ...deploy, name } };
        const merged = await mergeInto(this.#on, this.#options, merge);
        await apps.abandon(release);
        return { app: merged, imported: true, replaced: null, merged: true, missingSecrets };
      }
      if (release.manifest.server !== null) await this.#options.prove(app, release);
      this.#stillWanted(name);
      const { installed, replaced } = await this.#install(name, app, release);
      return { app: installed, imported: true, replaced, merged: false, missingSecrets };
    } catch (error) {
      await apps.abandon(release);
      throw error;
    }
  }

  /** Everything but the release; answers the secrets that are missing. */
  async #content(app: App, name: string): Promise<string[]> {
    const secrets = await this.#environment(app, this.#there(name));
    await this.#data(app);
    await this.#pairs(app);
    await this.#documents(app);
    await this.#volume(app);
    if ((await this.#reader.peek()).kind === "end") return secrets;
    throw damagedCartridge("an item", "is not in its place");
  }

  #stillWanted(name: string): void {
    if (!this.#options.signal.aborted) return;
    throw new SysError("ECANCELED", `cannot import "${name}": the caller has gone away`);
  }

  async #files(): Promise<ManifestFile[]> {
    const files: ManifestFile[] = [];
    for (let left = limits.releaseBytesMax; ; ) {
      const item = await this.#reader.item("file");
      if (item === null) return files;
      left -= item.size;
      if (left < 0 || files.length >= limits.releaseFilesMax) throw tooMuch("the release");
      const { hash, sizeBytes } = await this.#on.fs.blobs.put(
        { hash: item.hash },
        this.#reader.parts(item.parts),
      );
      files.push({ path: item.path, hash, sizeBytes, mode: item.mode });
    }
  }

  /** Sets the plain values, carries over the secrets of the app that is replaced. */
  async #environment(app: App, old: App | null): Promise<string[]> {
    const { apps } = this.#on;
    const known = old?.releaseId == null ? {} : apps.env.resolve(apps.release(old.releaseId));
    const kept = new Set(old === null ? [] : apps.env.ls(old.id).map(({ name }) => name));
    const missing: string[] = [];
    for (let count = 0; ; count++) {
      const item = await this.#reader.item("env");
      if (item === null) return missing;
      if (count >= limits.envEntriesMax) throw tooMuch("the environment");
      const secret = item.secret !== 0;
      const value = secret && kept.has(item.name) ? (known[item.name] ?? null) : item.value;
      if (value === null) missing.push(item.name);
      else await apps.env.set(app.id, [{ name: item.name, value, secret }], this.#options.from);
    }
  }

  async #data(app: App): Promise<void> {
    const { fs } = this.#on;
    const { from } = this.#options;
    for (;;) {
      const item = await this.#reader.item("entry");
      if (item === null) return;
      const path = `/data/${app.name}${item.path}`;
      if (!item.path.startsWith("/"))
        throw damagedCartridge(`the path "${item.path}"`, "is not absolute");
      if (item.kind === "dir") {
        await fs.mkdir(from, path, { parents: true });
        continue;
      }
      const stat = await fs.write(from, path, this.#reader.parts(item.parts));
      // A path that leads elsewhere is refused by fs; one that was rewritten is not the cartridge's.
      if (stat.hash !== item.hash) throw damagedCartridge(`the file "${item.path}"`, "is damaged");
    }
  }

  async #pairs(app: App): Promise<void> {
    const { storage, machine } = this.#on;
    const scope = { appId: app.id, userId: this.#options.from.userId };
    await this.#batches(async () => {
      const item = await this.#reader.item("pair");
      if (item === null) return null;
      const ttlMs = item.expires_at === null ? undefined : item.expires_at - machine.now();
      if (ttlMs !== undefined && ttlMs <= 0) return () => undefined;
      const value = jsonOf(item.value, "a pair");
      return storage.kv.plan.set(scope, { key: item.key, value }, { ttlMs });
    });
  }

  async #documents(app: App): Promise<void> {
    const { storage } = this.#on;
    const scope = { appId: app.id, userId: this.#options.from.userId };
    for (;;) {
      const index = await this.#reader.item("doc_index");
      if (index === null) break;
      await storage.docs.index(scope, index);
    }
    await this.#batches(async () => {
      const item = await this.#reader.item("doc");
      if (item === null) return null;
      const { collection, id } = item;
      return storage.docs.plan.put(scope, { collection, id, doc: jsonOf(item.doc, "a document") });
    });
  }

  /** Many small changes a transaction. */
  async #batches(next: () => Promise<((tx: Tx) => unknown) | null>): Promise<void> {
    for (;;) {
      const works: ((tx: Tx) => unknown)[] = [];
      let work = await next();
      for (; work !== null; work = works.length < limits.importBatchMax ? await next() : null) {
        works.push(work);
      }
      if (works.length === 0) return;
      await this.#on.storage.write((tx) => {
        for (const each of works) each(tx);
      });
    }
  }

  async #volume(app: App): Promise<void> {
    for (;;) {
      const item = await this.#reader.item("volume");
      if (item === null) return;
      if (item.size > limits.volumeBytesMax) throw tooMuch("the volume");
      const path = join(this.#on.storage.volumeDir(app.id), item.name);
      const hasher = new Bun.CryptoHasher("sha256");
      const file = openSync(path, "wx", 0o600);
      try {
        for await (const bytes of this.#reader.parts(item.parts)) {
          hasher.update(bytes);
          for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
        }
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      if (hasher.digest("hex") !== item.hash) throw damagedCartridge("the volume", "is damaged");
    }
  }

  /** The commit. */
  async #install(name: string, app: App, release: Release) {
    const { storage, machine, directory, holds, reread, tell } = this.#on;
    const replaces = this.#options.mode === "overwrite";
    const replaced = await storage.write((tx) => {
      const at = machine.now();
      const old = appIdOf(tx, name);
      if (old !== null && !replaces) throw taken(name);
      if (old !== null) {
        const sql = "UPDATE app_app SET removed_at = ?, purge_at = ? WHERE app_id = ?";
        tx.run(sql, at, at + this.#on.retention.removedKeptMs, old);
        for (const move of this.#on.moves) move(tx, old, app.id);
      }
      tx.run("UPDATE app_release SET switched_at = ? WHERE id = ?", at, release.id);
      const sql = "UPDATE app_app SET name = ?, release_id = ? WHERE app_id = ?";
      tx.run(sql, name, release.id, app.id);
      return old;
    });
    holds.release(release.id);
    const removed = replaced === null ? null : directory.find(replaced);
    if (replaced !== null) directory.refresh(replaced);
    const installed = reread(app.id);
    if (removed !== null) {
      const app = { ...removed, removedAt: machine.now() };
      await tell({ kind: "removed", app, heir: installed });
    }
    void tell({ kind: "changed", app: installed });
    void tell({ kind: "switched", app: installed, release });
    return { installed, replaced };
  }
}

/** Refusals of one item that mean the cartridge is not one this machine takes. */
const ofContent: ReadonlySet<string> = new Set(
  "EINVAL EFBIG EDQUOT EISDIR ENOTDIR EROFS ENOENT ERANGE EPERM".split(" "),
);

/** What a call of the same kind refuses makes the whole cartridge bad. */
async function acceptable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SysError) || !ofContent.has(error.code)) throw error;
    throw new SysError("EBADMSG", `cannot import the cartridge: ${error.message}`, {
      hint: "it holds what this machine would not take; nothing was imported",
      cause: error,
    });
  }
}

function jsonOf(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw damagedCartridge(what, "is no JSON");
  }
}

function taken(name: string): SysError {
  return new SysError("EEXIST", `cannot import as "${name}": the name is taken`, {
    hint: "choose another with --name, or say --mode overwrite, merge or skip",
  });
}

function tooMuch(what: string): SysError {
  return new SysError("EFBIG", `cannot import: ${what} is over its limit`, {
    hint: "see fazt fs cat /sys/limits",
  });
}

/** Imports a cartridge. EEXIST, EBADMSG, EINVAL (name), EBUSY, ENOSPC, ENOEXEC, ECANCELED. */
export async function importCartridge(on: ImportParts, options: ImportOptions): Promise<Imported> {
  return await new Import(on, options).run();
}
