/**
 * What apps leave behind: releases that were never switched to, releases beyond those kept, and
 * apps removed long enough ago. Each step may be cut anywhere and is finished by the next run.
 */
import type { Fs } from "../fs/mod.ts";
import type { Machine } from "../machine.ts";
import type { GcReport, OwnedTable, Storage, Tx } from "../storage/mod.ts";
import type { AppEvent } from "./app.ts";
import type { Holds } from "./hold.ts";
import { limits, type Retention } from "./limits.ts";
import type { Releases } from "./release.ts";
import { appRow } from "./row.ts";

export interface Collector {
  /** Erases staged releases older than `graceMs` that no deploy holds, and apps they alone made. */
  orphans(graceMs: number): Promise<number>;
  /** Erases an app whose time has come: tree, releases, pairs, volume, environment, row. */
  purge(appId: string): Promise<number>;
  /** What is kept for an app that is not there, in words. */
  ownerless(owned: Iterable<OwnedTable>): Iterable<string>;
  /** All of it; what `storage.gc` runs. */
  run(): Promise<GcReport>;
}

interface Parts {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly fs: Fs;
  readonly releases: Releases;
  readonly holds: Holds;
  readonly retention: Retention;
  readonly tell: (event: AppEvent) => Promise<void>;
  /** Told of ids whose row is gone. */
  readonly forgotten: (appId: string) => void;
}

/** Releases that have had their time: switched once, not current, and not among the newest. */
const surplus = `
  SELECT id FROM (
    SELECT r.id, row_number() OVER (PARTITION BY r.app_id ORDER BY r.number DESC) AS place
    FROM app_release r JOIN app_app a ON a.app_id = r.app_id
    WHERE r.switched_at IS NOT NULL AND a.removed_at IS NULL AND r.id IS NOT a.release_id
  ) WHERE place > ?`;

/** An app whose first deploy never came to an end: no release at all, staged or switched. */
const childless = `release_id IS NULL AND removed_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM app_release r WHERE r.app_id = app_app.app_id)`;

/** Owners that are no apps: the machine's own pairs, and its own events. */
const ofTheSystem = ["owner", ""];

export function createCollector({
  machine,
  storage,
  fs,
  releases,
  holds,
  retention,
  tell,
  forgotten,
}: Parts): Collector {
  const ids = (sql: string, ...values: (string | number)[]) =>
    storage.read.all<{ id: string }>(sql, ...values).map((row) => row.id);

  /** Everything here frees space, so it goes through on a full disk. */
  const erase = <T>(work: (tx: Tx) => T): Promise<T> => storage.write(work, { essential: true });

  /** Erases everything but the rows of an app; answers the pairs and documents. */
  const eraseData = async (appId: string): Promise<number> => {
    const app = appRow(storage.read, appId);
    if (app !== null) await tell({ kind: "purged", app });
    await fs.dropTree(appId);
    const pairs = (await storage.kv.purge(appId)) + (await storage.docs.purge(appId));
    await storage.dropVolume(appId);
    return pairs;
  };

  /** The rows of an app whose data is gone. */
  const eraseRows = async (appId: string): Promise<void> => {
    await erase((tx) => {
      tx.run("DELETE FROM app_env WHERE app_id = ?", appId);
      tx.run("DELETE FROM app_app WHERE app_id = ?", appId);
    });
    forgotten(appId);
  };

  // Removed first, by the write that asks: nobody deploys to what is being erased, and what is cut
  // goes on as any app whose time has come. Then the data (an import that was cut leaves some), for
  // only the row knows whose it is.
  const dropChildless = async (): Promise<number> => {
    let dropped = 0;
    for (const id of ids(`SELECT app_id AS id FROM app_app WHERE ${childless}`)) {
      const at = machine.now();
      const sql = `UPDATE app_app SET removed_at = ?, purge_at = ? WHERE app_id = ? AND ${childless}`;
      if ((await erase((tx) => tx.run(sql, at, at, id))) === 0) continue;
      await eraseData(id);
      await eraseRows(id);
      dropped++;
    }
    return dropped;
  };

  const orphans = async (graceMs: number): Promise<number> => {
    const sql = "SELECT id FROM app_release WHERE switched_at IS NULL AND created_at <= ?";
    const staged = ids(sql, machine.now() - graceMs).filter((id) => !holds.has(id));
    await releases.erase(staged);
    return staged.length + (await dropChildless());
  };

  /** Unseen first, erased after: nobody rolls back to a release whose files are going. */
  const retain = async (): Promise<number> => {
    const old = ids(surplus, retention.releasesKept);
    if (old.length === 0) return 0;
    const condemned = await erase((tx) =>
      old.filter((id) => {
        const current = tx.get("SELECT 1 FROM app_app WHERE release_id = ?", id) !== null;
        if (current) return false;
        return tx.run("UPDATE app_release SET switched_at = NULL WHERE id = ?", id) > 0;
      }),
    );
    await releases.erase(condemned);
    return condemned.length;
  };

  const purge = async (appId: string): Promise<number> => {
    const all = ids("SELECT id FROM app_release WHERE app_id = ?", appId);
    await erase((tx) =>
      tx.run("UPDATE app_release SET switched_at = NULL WHERE app_id = ?", appId),
    );
    await releases.erase(all);
    const pairs = await eraseData(appId);
    await eraseRows(appId);
    return 1 + all.length + pairs;
  };

  return {
    orphans,
    purge,
    *ownerless(owned) {
      const known = new Set([...ids("SELECT app_id AS id FROM app_app"), ...ofTheSystem]);
      for (const { table, appId } of owned) {
        if (!known.has(appId)) yield `${table} keeps something of "${appId}", which is no app`;
      }
    },
    async run() {
      let rows = await orphans(limits.stagedGraceMs);
      rows += await retain();
      for (const id of ids("SELECT app_id AS id FROM app_app WHERE purge_at <= ?", machine.now())) {
        rows += await purge(id);
      }
      return { rows, bytes: 0 };
    },
  };
}
