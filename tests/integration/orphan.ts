/**
 * Rows that nothing refers to, found by plain SQL in the database of a kernel that is down. Reads
 * a copy, so that the original is opened by nobody but a kernel.
 */
import { Database } from "bun:sqlite";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launcher } from "../../init/launcher.ts";
import { boot } from "../../kernel/boot.ts";
import { realMachine } from "../../kernel/machine.ts";

const queries: Readonly<Record<string, string>> = {
  "chunks of no blob":
    "SELECT count(*) n FROM fs_chunk c WHERE NOT EXISTS (SELECT 1 FROM fs_blob WHERE id = c.id >> 16)",
  "uploads that ended": "SELECT count(*) n FROM fs_blob WHERE hash IS NULL",
  "blobs of nothing": `SELECT count(*) n FROM fs_blob b WHERE hash IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM fs_manifest_file f WHERE f.hash = b.hash)
    AND NOT EXISTS (SELECT 1 FROM fs_inode i WHERE i.hash = b.hash)
    AND NOT EXISTS (SELECT 1 FROM fs_variant v WHERE v.variant_hash = b.hash)`,
  "variants of no blob":
    "SELECT count(*) n FROM fs_variant v WHERE NOT EXISTS (SELECT 1 FROM fs_blob WHERE hash = v.hash)",
  "manifests of no release":
    "SELECT count(*) n FROM fs_manifest m WHERE NOT EXISTS (SELECT 1 FROM app_release WHERE id = m.id)",
  "files of no manifest": `SELECT count(*) n FROM fs_manifest_file f
    WHERE NOT EXISTS (SELECT 1 FROM fs_manifest WHERE id = f.manifest_id)`,
  "files of no blob": `SELECT count(*) n FROM fs_manifest_file f
    WHERE NOT EXISTS (SELECT 1 FROM fs_blob WHERE hash = f.hash)`,
  "releases never switched to": "SELECT count(*) n FROM app_release WHERE switched_at IS NULL",
  "releases of no app": `SELECT count(*) n FROM app_release r
    WHERE NOT EXISTS (SELECT 1 FROM app_app WHERE app_id = r.app_id)`,
  "apps without a release": "SELECT count(*) n FROM app_app WHERE release_id IS NULL",
};

/** What is there that should not be, by name; empty when all is in order. The kernel is down. */
export function orphans(dataDir: string): Record<string, number> {
  const copy = mkdtempSync(join(tmpdir(), "fazt-orphans-"));
  try {
    for (const file of ["data.db", "data.db-wal"]) {
      cpSync(join(dataDir, file), join(copy, file), { force: true, errorOnExist: false });
    }
  } catch (error) {
    // A kernel that ended in order leaves no WAL.
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
  const db = new Database(join(copy, "data.db"));
  try {
    const counts = Object.entries(queries).map(([name, sql]) => {
      const row = db.query<{ n: number }, []>(sql).get();
      return [name, row?.n ?? Number.NaN] as const;
    });
    return Object.fromEntries(counts.filter(([, n]) => n !== 0));
  } finally {
    db.close();
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Runs gc on a kernel that is down, as it would run `hours` from now. */
export async function gcLater(dataDir: string, hours: number): Promise<void> {
  const real = realMachine();
  const machine = { ...real, now: () => real.now() + hours * 3_600_000 };
  const booted = await boot({ dataDir, version: "0", launcher: launcher(), machine });
  await booted.kernel.storage.gc();
  const { ok, problems } = await booted.kernel.storage.check();
  await booted.close();
  if (!ok) throw new Error(problems.join("; "));
}
