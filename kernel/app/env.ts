/**
 * The environment of an app: plain values as they are, secrets sealed with the machine key and
 * bound to the app and the name, so that a sealed value moved to another row opens nowhere.
 */
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import { nearest } from "../nearest.ts";
import type { Security } from "../security/mod.ts";
import type { Storage, Tx } from "../storage/mod.ts";
import type { EnvEntry, EnvInfo, Release } from "./app.ts";
import { limits } from "./limits.ts";
import { EnvName } from "./manifest.ts";

interface EnvRow {
  readonly name: string;
  readonly value: string | null;
  readonly sealed: Uint8Array | null;
  readonly updated_at: number;
}

/** What `Apps.env` is, without telling anybody. */
export interface Environment {
  ls(appId: string): EnvInfo[];
  set(
    appId: string,
    entries: readonly EnvEntry[],
    from: { caller: Caller; at: number },
  ): Promise<void>;
  rm(appId: string, name: string): Promise<void>;
  resolve(release: Release): Record<string, string>;
  secret(release: Release, name: string): string;
}

/** Whether a release reads this secret by a call. */
const asksFor = ({ manifest }: Release, name: string): boolean =>
  manifest.permissions.includes(`secret:${name}`);

const context = (appId: string, name: string) => `env:${appId}:${name}`;

/** One entry that may be stored, or EINVAL, EFBIG. Never shows the value. */
function checkEntry(entry: EnvEntry): void {
  const name = EnvName.safeParse(entry.name);
  const refuse = (code: "EINVAL" | "EFBIG", state: string, hint: string): never => {
    const shown = JSON.stringify(entry.name.slice(0, 100));
    throw new SysError(code, `cannot set ${shown}: ${state}`, { hint });
  };
  if (!name.success) {
    const why = name.error.issues[0]?.message ?? "not a name";
    refuse("EINVAL", `the name ${why}`, "choose a name such as GREETING or API_KEY");
  }
  if (entry.value.includes("\0")) {
    refuse("EINVAL", "the value holds a NUL byte", "encode binary values, for example as base64");
  }
  if (Buffer.byteLength(entry.value) > limits.envValueBytesMax) {
    refuse("EFBIG", `the value is over ${limits.envValueBytesMax} bytes`, "keep it in a file");
  }
}

/** The entry that a plain value or a secret makes; EINVAL unless exactly one is given. */
export function envEntry(given: {
  name: string;
  value?: string | undefined;
  secret?: string | undefined;
}): EnvEntry {
  const { name, value, secret } = given;
  if (secret !== undefined && value === undefined) return { name, value: secret, secret: true };
  if (value !== undefined && secret === undefined) return { name, value, secret: false };
  const state = value === undefined ? "no value" : "a plain value and a secret";
  throw new SysError("EINVAL", `cannot set ${JSON.stringify(name)}: ${state}`, {
    hint: "give a value, or a secret with --secret-file",
  });
}

export function createEnvironment(storage: Storage, security: Security): Environment {
  const rows = (appId: string) =>
    storage.read.all<EnvRow>(
      "SELECT name, value, sealed, updated_at FROM app_env WHERE app_id = ? ORDER BY name",
      appId,
    );

  const put = (
    tx: Tx,
    entry: EnvEntry,
    of: { appId: string; userId: string | null; at: number },
  ) => {
    const bytes = new TextEncoder().encode(entry.value);
    const sealed = entry.secret ? security.seal(bytes, context(of.appId, entry.name)) : null;
    tx.run(
      `INSERT INTO app_env (app_id, user_id, name, value, sealed, updated_at)
       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (app_id, name) DO UPDATE SET
         user_id = excluded.user_id, value = excluded.value,
         sealed = excluded.sealed, updated_at = excluded.updated_at`,
      of.appId,
      of.userId,
      entry.name,
      entry.secret ? null : entry.value,
      sealed,
      of.at,
    );
  };

  return {
    ls: (appId) =>
      rows(appId).map((row) => ({
        name: row.name,
        secret: row.sealed !== null,
        value: row.value,
        updatedAt: row.updated_at,
      })),

    async set(appId, entries, { caller, at }) {
      for (const entry of entries) checkEntry(entry);
      await storage.write((tx) => {
        const app = "SELECT 1 FROM app_app WHERE app_id = ? AND removed_at IS NULL";
        if (tx.get(app, appId) === null) {
          throw new SysError("ENOENT", "cannot set a variable: the app has been removed", {
            hint: "fazt app ls lists them all",
          });
        }
        for (const entry of entries) put(tx, entry, { appId, userId: caller.userId, at });
        const count = tx.get<{ n: number }>(
          "SELECT count(*) AS n FROM app_env WHERE app_id = ?",
          appId,
        );
        if ((count?.n ?? 0) <= limits.envEntriesMax) return;
        throw new SysError("EDQUOT", `cannot set more than ${limits.envEntriesMax} variables`, {
          hint: "remove some with fazt app env rm, or keep them in one file",
        });
      });
    },

    async rm(appId, name) {
      const sql = "DELETE FROM app_env WHERE app_id = ? AND name = ?";
      const removed = await storage.write((tx) => tx.run(sql, appId, name), { essential: true });
      if (removed > 0) return;
      const guess = nearest(
        name,
        rows(appId).map((row) => row.name),
      );
      throw new SysError("ENOENT", `no such variable: ${name.slice(0, 100)}`, {
        hint: guess === null ? "fazt app env ls lists them all" : `did you mean ${guess}?`,
      });
    },

    resolve(release) {
      const decoder = new TextDecoder();
      const env: Record<string, string> = { ...release.manifest.env };
      for (const { name, value, sealed } of rows(release.appId)) {
        if (sealed !== null && asksFor(release, name)) continue;
        env[name] =
          sealed === null
            ? (value ?? "")
            : decoder.decode(security.unseal(sealed, context(release.appId, name)));
      }
      return env;
    },

    secret(release, name) {
      const shown = JSON.stringify(name);
      if (!asksFor(release, name)) {
        throw new SysError("EACCES", `cannot read secret ${shown}: the app does not ask for it`, {
          hint: `name "secret:${name}" in app.json under "permissions"`,
        });
      }
      const sealed = rows(release.appId).find((row) => row.name === name)?.sealed ?? null;
      if (sealed === null) {
        throw new SysError("ENOENT", `cannot read secret ${shown}: it is not set`, {
          hint: `fazt app env set APP ${name} --secret-file FILE`,
        });
      }
      return new TextDecoder().decode(security.unseal(sealed, context(release.appId, name)));
    },
  };
}
