/**
 * How documents, transactions and SQL volumes refuse: part of the table that `errno.test.ts` walks.
 */
import { Database } from "bun:sqlite";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deployed } from "../deployed.ts";
import { type TestKernel, testKernel } from "../kernel.ts";
import type { Case, World } from "./errno-world.ts";

const mb = 1024 * 1024;
const note = { app: "site", collection: "note", id: "n1" };
const large = { text: "x".repeat(mb) };

/** A kernel with other limits, an app and its documents, for the time of one call. */
async function bounded(
  storageLimits: NonNullable<Parameters<typeof testKernel>[0]>["storageLimits"] & object,
  work: (k: TestKernel) => Promise<unknown>,
): Promise<unknown> {
  await using k = await testKernel({ storageLimits });
  await deployed(k, "site", { files: { "index.html": "" } });
  return await work(k);
}

/** A call that keeps something for an app that may keep nothing. */
const full = (call: string, input: object): Case => [
  call,
  "EDQUOT",
  () => bounded({ recordsBytesMax: 0 }, (k) => k.call(call, input)),
];

const volumeOf = ({ k }: World, app: string): string =>
  join(k.kernel.storage.volumeDir(k.kernel.app.get(app).id), "app.db");

const statement = (sql: string, more: object = {}) => ({ app: "site", sql, ...more });
const endless = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
  SELECT max(i) FROM n`;
const table = statement("CREATE TABLE IF NOT EXISTS t (b)", { write: true });

/** Looks at the clock, and at who is still there, after every two documents. */
const hurried = { docSliceMs: 0, docWindowMax: 2 };

/** A find that looks at 200 documents. */
async function findInMany(k: TestKernel, signal?: AbortSignal): Promise<unknown> {
  const puts = Array.from({ length: 200 }, (_, n) =>
    k.call("storage.doc.put", { ...note, id: `n${n}`, doc: { v: 1 } }),
  );
  await Promise.all(puts);
  const query = { app: "site", collection: "note", where: { v: 2 } };
  return k.call("storage.doc.find", query, signal === undefined ? {} : { signal });
}

export const documents: readonly Case[] = [
  ["storage.doc.put", "ENOENT", { ...note, app: "none", doc: {} }],
  ["storage.doc.put", "ESTALE", { ...note, doc: {}, ifVersion: 9 }],
  ["storage.doc.put", "EFBIG", { ...note, doc: large }],
  full("storage.doc.put", { ...note, doc: { v: 1 } }),
  full("storage.kv.set", { app: "site", key: "a", value: 1 }),
  full("storage.kv.incr", { app: "site", key: "n" }),
  full("storage.transact", { app: "site", ops: [{ op: "kv.set", key: "a", value: 1 }] }),
  ["storage.doc.get", "ENOENT", { ...note, app: "none" }],
  ["storage.doc.find", "ENOENT", { app: "none", collection: "note" }],
  [
    "storage.doc.find",
    "ETIMEDOUT",
    () => bounded({ ...hurried, docFindMsMax: 0 }, (k) => findInMany(k)),
  ],
  [
    "storage.doc.find",
    "ECANCELED",
    () => bounded(hurried, (k) => findInMany(k, AbortSignal.abort())),
  ],
  ["storage.doc.rm", "ENOENT", { ...note, app: "none" }],
  ["storage.doc.rm", "ESTALE", { ...note, ifVersion: 99 }],
  ["storage.doc.index", "ENOENT", { app: "none", collection: "note", field: "v" }],
  [
    "storage.doc.index",
    "EDQUOT",
    () =>
      bounded({ docIndexesMax: 0 }, (k) =>
        k.call("storage.doc.index", { app: "site", collection: "note", field: "v" }),
      ),
  ],
  ["storage.doc.unindex", "ENOENT", { app: "none", collection: "note", field: "v" }],
  ["storage.doc.indexes", "ENOENT", { app: "none" }],
  ["storage.transact", "ENOENT", { app: "none", ops: [{ op: "kv.rm", key: "a" }] }],
  [
    "storage.transact",
    "ESTALE",
    { app: "site", ops: [{ op: "kv.check", key: "text", ifVersion: 99 }] },
  ],
  [
    "storage.transact",
    "EFBIG",
    { app: "site", ops: [{ op: "doc.put", collection: "note", doc: large }] },
  ],
  ["storage.transact", "ERANGE", { app: "site", ops: [{ op: "kv.incr", key: "most", by: 1 }] }],
  ["storage.sql", "ENOENT", { app: "none", sql: "SELECT 1" }],
  [
    "storage.sql",
    "EROFS",
    async ({ k }) => {
      await k.call("storage.sql", table);
      return k.call("storage.sql", statement("DELETE FROM t"));
    },
  ],
  ["storage.sql", "EFBIG", statement("SELECT zeroblob(8000000) AS b")],
  ["storage.sql", "ETIMEDOUT", statement(endless)],
  ["storage.sql", "ECANCELED", statement(endless), () => ({ signal: AbortSignal.timeout(300) })],
  [
    "storage.sql",
    "EBUSY",
    async (world) => {
      using app = new Database(volumeOf(world, "site"));
      app.run("BEGIN IMMEDIATE");
      return await world.k.call("storage.sql", statement("DELETE FROM t", { write: true }));
    },
  ],
  [
    "storage.sql",
    "EDQUOT",
    () =>
      bounded({ volumeBytesMax: mb }, async (k) => {
        await k.call("storage.sql", table);
        const fat = statement("INSERT INTO t VALUES (zeroblob(4000000))", { write: true });
        return k.call("storage.sql", fat);
      }),
  ],
  [
    "storage.sql",
    "EBADMSG",
    async (world) => {
      const path = volumeOf(world, "other");
      writeFileSync(path, "no database\n".repeat(1000));
      try {
        return await world.k.call("storage.sql", { app: "other", sql: "SELECT * FROM t" });
      } finally {
        // The replica's cases flush every volume, and rightly fail on one that is no database.
        rmSync(path);
      }
    },
  ],
];

export const fullDiskDocuments: readonly Case[] = [
  ["storage.doc.put", "ENOSPC", { ...note, doc: { v: 1 } }],
  ["storage.doc.rm", "ENOSPC", { app: "site", collection: "note", id: "kept" }],
  ["storage.doc.index", "ENOSPC", { app: "site", collection: "note", field: "w" }],
  ["storage.doc.unindex", "ENOSPC", { app: "site", collection: "note", field: "indexed" }],
  ["storage.transact", "ENOSPC", { app: "site", ops: [{ op: "kv.set", key: "z", value: 1 }] }],
];
