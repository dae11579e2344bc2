/**
 * How the errnos of what comes and goes whole are brought about: backups, cartridges, users.
 */

import { Database } from "bun:sqlite";
import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Bytes } from "../../kernel/call.ts";
import { type Caller, localOwner } from "../../kernel/caller.ts";
import { deployed, okServer } from "../deployed.ts";
import type { TestKernel } from "../kernel.ts";
import { type Case, serverManifest } from "./errno-world.ts";

async function exported(k: TestKernel, app: string) {
  const { stream } = await k.call<Bytes>("app.export", { app });
  const bytes = await new Response(stream).arrayBuffer();
  return () => ({ body: new Blob([bytes]).stream() });
}

/** While the volume of `site` is what `make` leaves in its place. */
async function withVolume(k: TestKernel, make: (path: string) => Promise<() => void>) {
  const { id } = k.kernel.app.get("site");
  const path = join(k.kernel.storage.volumeDir(id), "app.db");
  mkdirSync(dirname(path), { recursive: true });
  const undo = await make(path);
  return k.call("app.export", { app: "site" }).finally(() => {
    undo();
    rmSync(dirname(path), { recursive: true });
  });
}

/** Somebody who may administer security and nothing else. */
const clerk: Caller = {
  ...localOwner("socket"),
  kind: "user",
  via: "token",
  userId: "usr_clerk",
  grants: ["security:*"],
};

const needsKey = 'if (!process.env.KEY) throw new Error("no key");\n';

export const fileCases: readonly Case[] = [
  ["security.user.erase", "ENOENT", { name: "nobody" }],
  ["security.user.erase", "EPERM", { name: "root" }],
  ["security.user.export", "ENOENT", { name: "nobody" }],
  ["security.user.export", "EPERM", { name: "root" }, () => ({ from: clerk })],
  [
    "storage.backup",
    "EBUSY",
    async ({ k }) => {
      const { stream } = await k.call<Bytes>("storage.backup");
      return k.call("storage.backup").finally(() => stream.cancel());
    },
  ],
  ["app.export", "ENOENT", { app: "none" }],
  [
    "app.export",
    "EBADMSG",
    ({ k }) =>
      withVolume(k, async (path) => {
        await Bun.write(path, "no database".repeat(100));
        return () => undefined;
      }),
  ],
  [
    "app.export",
    "EBUSY",
    ({ k }) =>
      withVolume(k, async (path) => {
        const db = new Database(path);
        db.run("PRAGMA locking_mode = EXCLUSIVE");
        db.run("CREATE TABLE t (x TEXT)");
        return () => db.close();
      }),
  ],
  [
    "app.import",
    "EEXIST",
    async ({ k }) => k.call("app.import", {}, (await exported(k, "site"))()),
  ],
  ["app.restore", "ENOENT", { app: "none" }],
  [
    "app.restore",
    "EEXIST",
    async ({ k }) => {
      await deployed(k, "twice", { files: { "index.html": "twice" } });
      await k.call("app.rm", { app: "twice" });
      return k.call("app.restore", { app: "twice", name: "site" });
    },
  ],
  ["fs.cp", "ERANGE", { from: "/home/file", to: "/sys/limits/storage.diskUsedMax" }],
  [
    "fs.write",
    "ERANGE",
    { path: "/sys/limits/storage.diskUsedMax" },
    () => ({ body: new Blob(["2"]).stream() }),
  ],
  ["app.import", "EBADMSG", {}, () => ({ body: new Blob(["no cartridge"]).stream() })],
  [
    "app.import",
    "EBUSY",
    async ({ k }) => {
      const body = await exported(k, "site");
      const release = k.kernel.app.release(k.kernel.app.get("site").releaseId ?? "");
      const files = k.kernel.fs.manifests.list(release.id);
      const what = { name: "site", manifest: release.manifest, files, message: "" };
      const staged = await k.kernel.app.stage(localOwner("boot"), what);
      const input = { mode: "overwrite" };
      return k
        .call("app.import", input, body())
        .finally(() => k.kernel.app.abandon(staged.release));
    },
  ],
  [
    "app.import",
    "ENOEXEC",
    async ({ k }) => {
      const files = { "server.js": needsKey + okServer };
      await deployed(k, "keyed", { files: { "server.js": okServer }, manifest: serverManifest });
      await k.call("app.env.set", { app: "keyed", name: "KEY", secret: "s3cret" });
      await deployed(k, "keyed", { files, manifest: serverManifest });
      const body = await exported(k, "keyed");
      const refused = k.call("app.import", { name: "keyless" }, body());
      return refused.finally(() => k.call("app.rm", { app: "keyed", purge: true }));
    },
  ],
  [
    "app.import",
    "ECANCELED",
    async ({ k }) => {
      const signal = AbortSignal.abort();
      return k.call("app.import", { name: "gone" }, { ...(await exported(k, "site"))(), signal });
    },
  ],
  [
    "app.import",
    "EFBIG",
    async ({ k }) => {
      await deployed(k, "heavy", { files: { "index.html": "heavy" } });
      const value = "x".repeat(1_000_000);
      for (let n = 0; n < 34; n++) {
        await k.call("storage.kv.set", { app: "heavy", key: `k/${n}`, value });
      }
      const body = await exported(k, "heavy");
      const refused = k.call("app.import", { mode: "merge" }, body());
      return refused.finally(() => k.call("app.rm", { app: "heavy", purge: true }));
    },
  ],
];
