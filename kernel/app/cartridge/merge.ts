/**
 * A cartridge joined into an app that stays: its content has been brought in whole under a name of
 * the moment, and verified; here it goes over to the app, all of it or nothing.
 *
 * Order: the release is staged on the app and proved there; then one transaction moves files, puts
 * pairs, documents and plain variables, and switches. The app keeps its id, routes, secrets, SQL
 * volume and what the cartridge has nothing for. Two SQL databases cannot be joined by anybody who
 * does not know their tables, so the volume is the app's own.
 */
import { SysError } from "../../errno.ts";
import type { Storage, Tx } from "../../storage/mod.ts";
import type { App, Deploy } from "../app.ts";
import { limits } from "../limits.ts";
import type { ImportOptions, ImportParts } from "./import.ts";

export interface Merge {
  /** The draft whose content goes over. */
  readonly from: App;
  readonly into: App;
  readonly deploy: Deploy;
}

type Work = (tx: Tx) => unknown;

/** Joins them. EBUSY, ENOEXEC, EEXIST (a file where a directory is), EFBIG, ENOSPC. */
export async function mergeInto(
  on: ImportParts,
  options: ImportOptions,
  { from, into, deploy }: Merge,
): Promise<App> {
  const { apps, fs, machine, storage } = on;
  const works = await contentOf(storage, from.id, { appId: into.id, userId: options.from.userId });
  const { release } = await apps.stage(options.from, deploy);
  try {
    if (release.manifest.server !== null) await options.prove(into, release);
    const indexes = storage.docs.indexes({ appId: from.id, userId: null });
    const merged = await apps.switchTo(release, (tx) => {
      for (const work of works) work(tx);
      const files = { from: from.id, to: into.id, appId: into.id };
      const graft = { ...files, quotaBytes: limits.dataBytesMax, at: machine.now() };
      if (fs.graft(tx, graft) > limits.mergeItemsMax) throw tooMuch();
      tx.run(
        `INSERT INTO app_env (app_id, user_id, name, value, sealed, updated_at)
           SELECT ?, user_id, name, value, NULL, updated_at FROM app_env
             WHERE app_id = ? AND sealed IS NULL
         ON CONFLICT (app_id, name) DO UPDATE SET value = excluded.value,
           updated_at = excluded.updated_at, user_id = excluded.user_id
           WHERE app_env.sealed IS NULL`,
        ...[into.id, from.id],
      );
    });
    for (const index of indexes) await storage.docs.index({ appId: into.id, userId: null }, index);
    return merged;
  } catch (error) {
    await apps.abandon(release);
    throw error instanceof SysError && error.code === "EDQUOT" ? tooMuch(error) : error;
  }
}

/** What a merge has made ready, and how much of it there is. */
class Ready {
  readonly works: Work[] = [];
  #bytes = 0;

  add(work: Work, value: unknown): void {
    this.#bytes += JSON.stringify(value).length;
    this.works.push(work);
    if (this.works.length <= limits.mergeItemsMax && this.#bytes <= limits.mergeBytesMax) return;
    throw tooMuch();
  }
}

const tooMuch = (cause?: unknown): SysError =>
  new SysError("EFBIG", "cannot merge: it is more than one transaction, or the app, may hold", {
    hint: "import it beside the app with --name, or in its place with --mode overwrite",
    cause,
  });

type Scope = Parameters<Storage["kv"]["get"]>[0];

/** The draft's pairs and documents as works on the app's. */
async function contentOf(storage: Storage, draftId: string, into: Scope): Promise<Work[]> {
  const { kv, docs } = storage;
  const draft = { appId: draftId, userId: null };
  const ready = new Ready();
  for (let after = ""; ; ) {
    const page = kv.ls(draft, { after });
    for (const { key, value, expiresAt, updatedAt } of page) {
      const ttlMs = expiresAt === null ? undefined : Math.max(1, expiresAt - updatedAt);
      ready.add(kv.plan.set(into, { key, value }, { ttlMs }), value);
      after = key;
    }
    if (page.length === 0) break;
  }
  for (const collection of docs.collections(draft)) {
    for (let cursor: string | undefined; ; ) {
      const page = await docs.find(draft, { collection, cursor });
      for (const { id, doc } of page.entries) {
        ready.add(docs.plan.put(into, { collection, id, doc }), doc);
      }
      if (page.cursor === null) break;
      cursor = page.cursor;
    }
  }
  return ready.works;
}
