/**
 * One-shots: a request an app makes to itself at a time of its choosing, once, also when the
 * kernel was started again in between. One of the same id is replaced.
 */
import type { App } from "../../app/mod.ts";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import type { OneShot } from "./event.ts";
import { encodePayload } from "./journal.ts";
import { aheadMsMax, oneShotsMax } from "./limits.ts";

interface Parts {
  readonly machine: Machine;
  readonly storage: Storage;
}

/** Sets it. EINVAL (no time, or both, or too far ahead), EFBIG (payload), EDQUOT (too many). */
export async function setOneShot(
  { machine, storage }: Parts,
  app: App,
  what: OneShot,
): Promise<{ id: string; at: number }> {
  const now = machine.now();
  const at = timeOf(what, now);
  const id = what.id ?? machine.id("job");
  const json = encodePayload(id, what.payload);
  await storage.write((tx) => {
    const replaced = tx.run("DELETE FROM event_task WHERE app_id = ? AND key = ?", app.id, id);
    const sql = "SELECT count(*) AS n FROM event_task WHERE app_id = ? AND key IS NOT NULL";
    if (replaced === 0 && (tx.get<{ n: number }>(sql, app.id)?.n ?? 0) >= oneShotsMax) {
      throw new SysError("EDQUOT", `cannot schedule "${id}": the app has ${oneShotsMax} already`, {
        hint: "schedule the next one when the last has come, or use cron",
      });
    }
    tx.run(
      `INSERT INTO event_task (app_id, key, path, payload, created_at, due_at)
       VALUES (?, ?, ?, ?, ?, ?)`,
      app.id,
      id,
      what.path,
      json,
      now,
      at,
    );
  });
  return { id, at };
}

function timeOf({ at, afterMs, path }: OneShot, now: number): number {
  if ((at === undefined) === (afterMs === undefined)) {
    throw new SysError("EINVAL", `cannot schedule "${path}": name one of "at" and "afterMs"`, {
      hint: "at is Unix ms, afterMs counts from now",
    });
  }
  const time = at ?? now + (afterMs ?? 0);
  if (time - now <= aheadMsMax) return time;
  throw new SysError("EINVAL", `cannot schedule "${path}": over a year ahead`, {
    hint: "use cron in app.json",
  });
}

/** Takes it back; false when there is none. */
export async function cancelOneShot(storage: Storage, app: App, id: string): Promise<boolean> {
  const sql = "DELETE FROM event_task WHERE app_id = ? AND key = ?";
  return (await storage.write((tx) => tx.run(sql, app.id, id), { essential: true })) > 0;
}
