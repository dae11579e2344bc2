/**
 * How much an app keeps in keys and documents: counted with every change, in its transaction, so
 * that one app cannot fill the database that all share.
 *
 * Rules: what is taken away counts at once; growth beyond the limit is refused in the one who
 * grows; removing and replacing by less always works.
 */
import { SysError } from "../errno.ts";
import type { StorageLimits } from "./limits.ts";
import type { Tx } from "./storage.ts";

/** What a row costs beside its own bytes. */
export const rowBytes = 64;

const note = `
  INSERT INTO storage_usage (app_id, bytes) VALUES (?1, max(0, ?2))
  ON CONFLICT (app_id) DO UPDATE SET bytes = max(0, bytes + ?2) RETURNING bytes`;

/** An app has so many bytes more, or less. EDQUOT when it grows beyond its limit. */
export function grow(tx: Tx, appId: string, by: { bytes: number; limits: StorageLimits }): void {
  const { bytes, limits } = by;
  if (bytes === 0) return;
  const used = tx.get<{ bytes: number }>(note, appId, bytes)?.bytes ?? 0;
  if (bytes < 0 || used <= limits.recordsBytesMax) return;
  const state = `keys and documents would have ${used} bytes, the limit is`;
  throw new SysError("EDQUOT", `cannot keep more: ${state} ${limits.recordsBytesMax}`, {
    hint: "remove some, or keep large content in files (fs.write)",
  });
}

/** Nothing of an app is left. */
export function forget(tx: Tx, appId: string): void {
  tx.run("DELETE FROM storage_usage WHERE app_id = ? AND bytes = 0", appId);
}
