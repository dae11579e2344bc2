/**
 * Documents: JSON objects with an id, in named collections of an app, with declared indexes.
 *
 * Invariants
 * 1. Versions only grow, also over a document's removal; with `ifVersion` nothing changes unless
 *    the stored version is that one (0: there is none), else ESTALE.
 * 2. Every index of a collection has exactly one entry a document, written with the document; a
 *    query uses an index only once it is complete (`ready`).
 * 3. A document is stored as it was given: any key, Unicode throughout.
 * Declaring or dropping an index works in pieces, so that others are served meanwhile; when it is
 * cut, declaring it again goes on.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { KvScope, Work } from "../kv.ts";
import type { StorageLimits } from "../limits.ts";
import type { Reader, Storage, Tx } from "../storage.ts";
import { forget, grow, rowBytes } from "../usage.ts";
import { classSql, fieldPath, keySql } from "./field.ts";
import { type DocQuery, find } from "./find.ts";

export interface DocPlace {
  readonly collection: string;
  readonly id: string;
}

export interface DocStamp {
  readonly id: string;
  readonly version: number;
  readonly updatedAt: number;
}

export interface DocEntry extends DocStamp {
  readonly doc: unknown;
}

export interface DocDraft {
  readonly collection: string;
  /** Made up when it is left out. */
  readonly id?: string | undefined;
  readonly doc: unknown;
}

export interface DocIndex {
  readonly collection: string;
  readonly field: string;
  readonly ready: boolean;
}

export interface IfVersion {
  readonly ifVersion?: number | undefined;
}

/** The changes as works, for who makes several in one transaction. */
export interface DocPlan {
  put(scope: KvScope, draft: DocDraft, options?: IfVersion): Work<DocStamp>;
  rm(scope: KvScope, place: DocPlace, options?: IfVersion): Work<boolean>;
  check(scope: KvScope, place: DocPlace, ifVersion: number): Work<void>;
}

export interface Docs {
  readonly plan: DocPlan;
  get(scope: KvScope, place: DocPlace): DocEntry | null;
  /** EINVAL (id; not an object; depth, fields, Unicode), EFBIG (over 1 MB), ESTALE, ENOSPC. */
  put(scope: KvScope, draft: DocDraft, options?: IfVersion): Promise<DocStamp>;
  /** Whether it was there. ESTALE. */
  rm(scope: KvScope, place: DocPlace, options?: IfVersion): Promise<boolean>;
  /** A page, and the cursor of the next one or null. EINVAL, ETIMEDOUT, ECANCELED. */
  find(
    scope: KvScope,
    query: DocQuery,
    signal?: AbortSignal,
  ): Promise<{ entries: DocEntry[]; cursor: string | null }>;
  /** Declares an index and makes it from what is there. EINVAL, EDQUOT. Idempotent. */
  index(scope: KvScope, at: { collection: string; field: string }): Promise<DocIndex>;
  /** Whether there was one. */
  unindex(scope: KvScope, at: { collection: string; field: string }): Promise<boolean>;
  indexes(scope: KvScope): DocIndex[];
  /** Names of the collections that hold documents. */
  collections(scope: KvScope): string[];
  /** Forgets everything of an app; answers the number of documents. */
  purge(appId: string): Promise<number>;
}

export interface DocOptions {
  readonly machine: Machine;
  readonly read: Reader;
  readonly write: Storage["write"];
  readonly limits: StorageLimits;
}

interface DocRow {
  readonly id: string;
  readonly json: string;
  readonly version: number;
  readonly updated_at: number;
}

interface IndexRow {
  readonly index_id: number;
  readonly path: string;
}

const ofDocument = "app_id = ?1 AND collection = ?2 AND id = ?3";

/** What a row counts. */
const sizeOf = `(octet_length(id) + octet_length(json) + ${rowBytes})`;
const selectSize = `SELECT ${sizeOf} AS bytes FROM storage_doc WHERE ${ofDocument}`;

const upsert = `
  INSERT INTO storage_doc (app_id, collection, id, json, version, updated_at, user_id)
  VALUES (?1, ?2, ?3, ?4,
    1 + coalesce((SELECT version FROM storage_doc_floor WHERE app_id = ?1), 0), ?5, ?6)
  ON CONFLICT (app_id, collection, id) DO UPDATE SET json = excluded.json,
    version = storage_doc.version + 1, updated_at = excluded.updated_at, user_id = excluded.user_id
  RETURNING id, version, updated_at`;

const raiseFloor = `
  INSERT INTO storage_doc_floor (app_id, version) VALUES (?1, ?2)
  ON CONFLICT (app_id) DO UPDATE SET version = max(version, excluded.version)`;

/** Documents over the one database. */
export function createDocs(options: DocOptions): Docs {
  const { machine, read, write, limits } = options;
  const essential = { essential: true };
  const plan = createPlan(options);

  return {
    plan,
    get(scope, { collection, id }) {
      const row = read.get<DocRow>(
        `SELECT id, json, version, updated_at FROM storage_doc WHERE ${ofDocument}`,
        scope.appId,
        collection,
        id,
      );
      return row === null ? null : entryOf(row);
    },
    put: async (...given) => await write(plan.put(...given)),
    rm: async (...given) => await write(plan.rm(...given), essential),

    async find(scope, query, signal) {
      const { ids, cursor, test } = await find(
        { machine, read, limits, signal },
        scope.appId,
        query,
      );
      const next = test.values.length;
      const sql = `SELECT id, json, version, updated_at FROM storage_doc d WHERE (${test.sql})
        AND app_id = ?${next + 1} AND collection = ?${next + 2} AND id = ?${next + 3}`;
      const rows = ids.map((id) =>
        read.get<DocRow>(sql, ...test.values, scope.appId, query.collection, id),
      );
      return { entries: rows.filter((row) => row !== null).map(entryOf), cursor };
    },

    ...createIndexes(options),

    async purge(appId) {
      const bound = limits.docIndexRows;
      const ids = read.all<{ index_id: number }>(
        "SELECT index_id FROM storage_doc_index WHERE app_id = ?",
        appId,
      );
      for (const { index_id } of ids) await dropEntries(options, index_id);
      let gone = 0;
      const some = `DELETE FROM storage_doc WHERE rowid IN
        (SELECT rowid FROM storage_doc WHERE app_id = ? LIMIT ?) RETURNING ${sizeOf} AS bytes`;
      for (let count = bound; count === bound; gone += count) {
        count = await write((tx) => {
          const rows = tx.all<{ bytes: number }>(some, appId, bound);
          const bytes = rows.reduce((sum, row) => sum - row.bytes, 0);
          grow(tx, appId, { bytes, limits });
          return rows.length;
        }, essential);
      }
      await write((tx) => {
        forget(tx, appId);
        tx.run("DELETE FROM storage_doc_floor WHERE app_id = ?", appId);
      }, essential);
      return gone;
    },

    collections({ appId }) {
      const sql = "SELECT DISTINCT collection FROM storage_doc WHERE app_id = ? ORDER BY 1";
      return read.all<{ collection: string }>(sql, appId).map((row) => row.collection);
    },
  };
}

function createPlan({ machine, limits }: DocOptions): DocPlan {
  const versionOf = (tx: Tx, { appId }: KvScope, { collection, id }: DocPlace): number =>
    tx.get<{ version: number }>(
      `SELECT version FROM storage_doc WHERE ${ofDocument}`,
      appId,
      collection,
      id,
    )?.version ?? 0;
  const compare = (
    tx: Tx,
    at: { scope: KvScope; place: DocPlace },
    ifVersion: number | undefined,
  ) => {
    const version = versionOf(tx, at.scope, at.place);
    if (ifVersion === undefined || version === ifVersion) return version;
    const subject = `"${at.place.collection}/${at.place.id}"`;
    throw new SysError(
      "ESTALE",
      `cannot change ${subject}: version is ${version}, not ${ifVersion}`,
      {
        hint: "read the document again and decide on what it holds now",
      },
    );
  };

  return {
    put(scope, { collection, id: given, doc }, { ifVersion } = {}) {
      const id = given ?? machine.id("doc");
      checkId(id, limits);
      const json = encode(`${collection}/${id}`, doc, limits);
      const place = { collection, id };
      return (tx) => {
        const version = compare(tx, { scope, place }, ifVersion);
        const indexes = indexesOf(tx, scope.appId, collection);
        if (version > 0)
          for (const index of indexes) dropEntry(tx, index, { scope, place, limits });
        const { appId, userId } = scope;
        const nowMs = machine.now();
        const before = tx.get<{ bytes: number }>(selectSize, appId, collection, id)?.bytes ?? 0;
        const after = Buffer.byteLength(id) + Buffer.byteLength(json) + rowBytes;
        grow(tx, appId, { bytes: after - before, limits });
        const row = tx.get<DocRow>(upsert, appId, collection, id, json, nowMs, userId);
        if (row === null)
          throw new SysError("EIO", `cannot put "${id}": the database kept nothing`);
        for (const index of indexes) addEntry(tx, index, { scope, place, limits });
        return { id, version: row.version, updatedAt: row.updated_at };
      };
    },
    rm:
      (scope, place, { ifVersion } = {}) =>
      (tx) => {
        const version = compare(tx, { scope, place }, ifVersion);
        if (version === 0) return false;
        const { appId } = scope;
        const { collection, id } = place;
        for (const index of indexesOf(tx, appId, collection)) {
          dropEntry(tx, index, { scope, place, limits });
        }
        const bytes = tx.get<{ bytes: number }>(selectSize, appId, collection, id)?.bytes ?? 0;
        grow(tx, appId, { bytes: -bytes, limits });
        tx.run(`DELETE FROM storage_doc WHERE ${ofDocument}`, appId, collection, id);
        tx.run(raiseFloor, appId, version);
        return true;
      },
    check: (scope, place, ifVersion) => (tx) => void compare(tx, { scope, place }, ifVersion),
  };
}

function indexesOf(from: Reader, appId: string, collection: string): IndexRow[] {
  return from.all<IndexRow>(
    "SELECT index_id, path FROM storage_doc_index WHERE app_id = ? AND collection = ?",
    appId,
    collection,
  );
}

interface Entry {
  readonly scope: KvScope;
  readonly place: DocPlace;
  readonly limits: StorageLimits;
}

const entrySql = (limits: StorageLimits): string =>
  `SELECT ?4, ${classSql("json", "?5")}, ${keySql("json", "?5", limits)}, id FROM storage_doc`;

const entryValues = ({ index_id, path }: IndexRow, { scope, place }: Entry) =>
  [scope.appId, place.collection, place.id, index_id, path] as const;

function addEntry(tx: Tx, index: IndexRow, entry: Entry): void {
  const sql = `INSERT INTO storage_doc_entry (index_id, class, value, id)
    ${entrySql(entry.limits)} WHERE ${ofDocument}`;
  tx.run(sql, ...entryValues(index, entry));
}

/** Before the document changes: its entry is found by what the document holds now. */
function dropEntry(tx: Tx, index: IndexRow, entry: Entry): void {
  const sql = `DELETE FROM storage_doc_entry WHERE (index_id, class, value, id) =
    (${entrySql(entry.limits)} WHERE ${ofDocument})`;
  tx.run(sql, ...entryValues(index, entry));
}

async function dropEntries({ write, limits }: DocOptions, indexId: number): Promise<void> {
  const bound = limits.docIndexRows;
  const some = `DELETE FROM storage_doc_entry WHERE (index_id, class, value, id) IN
    (SELECT index_id, class, value, id FROM storage_doc_entry WHERE index_id = ? LIMIT ?)`;
  // Not ready from now on, and not complete before it is made anew.
  const unready = "UPDATE storage_doc_index SET ready = 0, built_to = '' WHERE index_id = ?";
  await write((tx) => tx.run(unready, indexId), { essential: true });
  for (let count = bound; count === bound; ) {
    count = await write(
      (tx) => {
        const gone = tx.run(some, indexId, bound);
        if (gone < bound) tx.run("DELETE FROM storage_doc_index WHERE index_id = ?", indexId);
        return gone;
      },
      { essential: true },
    );
  }
}

function createIndexes(options: DocOptions): Pick<Docs, "index" | "unindex" | "indexes"> {
  const { read, write, limits } = options;
  const known = (from: Reader, appId: string, at: { collection: string; field: string }) =>
    from.get<IndexRow & { ready: number; built_to: string }>(
      `SELECT index_id, path, ready, built_to FROM storage_doc_index
       WHERE app_id = ? AND collection = ? AND field = ?`,
      appId,
      at.collection,
      at.field,
    );

  return {
    async index(scope, at) {
      const path = fieldPath(at.field, limits);
      await write((tx) => {
        if (known(tx, scope.appId, at) !== null) return;
        checkRoom(tx, scope.appId, { ...at, limits });
        tx.run(
          "INSERT INTO storage_doc_index (app_id, user_id, collection, field, path) VALUES (?, ?, ?, ?, ?)",
          scope.appId,
          scope.userId,
          at.collection,
          at.field,
          path,
        );
      });
      for (let ready = false; !ready; ) {
        ready = await write((tx) => {
          const row = known(tx, scope.appId, at);
          // Dropped meanwhile: there is nothing left to make.
          if (row === null || row.ready === 1) return true;
          return buildSome(tx, row, { appId: scope.appId, collection: at.collection, limits });
        });
      }
      return { ...at, ready: known(read, scope.appId, at)?.ready === 1 };
    },
    async unindex(scope, at) {
      const row = known(read, scope.appId, at);
      if (row !== null) await dropEntries(options, row.index_id);
      return row !== null;
    },
    indexes: ({ appId }) =>
      read
        .all<{ collection: string; field: string; ready: number }>(
          `SELECT collection, field, ready FROM storage_doc_index WHERE app_id = ?
           ORDER BY collection, field`,
          appId,
        )
        .map((row) => ({ ...row, ready: row.ready === 1 })),
  };
}

interface Building {
  readonly appId: string;
  readonly collection: string;
  readonly limits: StorageLimits;
}

/** Writes the entries of the next documents; true when there are no more. */
function buildSome(
  tx: Tx,
  { index_id, path, built_to }: IndexRow & { built_to: string },
  { appId, collection, limits }: Building,
): boolean {
  const next = `FROM storage_doc WHERE app_id = ?1 AND collection = ?2 AND id > ?3 ORDER BY id`;
  const window = [appId, collection, built_to, limits.docIndexRows] as const;
  const found = tx.get<{ count: number; last: string | null }>(
    `SELECT count(*) AS count, max(id) AS last FROM (SELECT id ${next} LIMIT ?4)`,
    ...window,
  );
  tx.run(
    `INSERT OR IGNORE INTO storage_doc_entry (index_id, class, value, id)
     SELECT ?5, ${classSql("json", "?6")}, ${keySql("json", "?6", limits)}, id ${next} LIMIT ?4`,
    ...window,
    index_id,
    path,
  );
  const ready = (found?.count ?? 0) < limits.docIndexRows;
  tx.run(
    "UPDATE storage_doc_index SET built_to = ?, ready = ? WHERE index_id = ?",
    found?.last ?? built_to,
    ready ? 1 : 0,
    index_id,
  );
  return ready;
}

function checkRoom(
  tx: Tx,
  appId: string,
  { collection, limits }: { collection: string; limits: StorageLimits },
): void {
  const count = tx.get<{ here: number; everywhere: number }>(
    `SELECT count(*) AS everywhere, coalesce(sum(collection = ?), 0) AS here
     FROM storage_doc_index WHERE app_id = ?`,
    collection,
    appId,
  );
  const here = (count?.here ?? 0) >= limits.docIndexesMax;
  if (!here && (count?.everywhere ?? 0) < limits.docIndexesAppMax) return;
  const state = here
    ? `"${collection}" has ${limits.docIndexesMax} indexes, the limit`
    : `the app has ${limits.docIndexesAppMax} indexes, the limit`;
  throw new SysError("EDQUOT", `cannot declare an index: ${state}`, {
    hint: "drop one that no query uses: storage.doc.unindex",
  });
}

function entryOf({ id, json, version, updated_at }: DocRow): DocEntry {
  return { id, doc: JSON.parse(json), version, updatedAt: updated_at };
}

function checkId(id: string, { docIdBytesMax }: StorageLimits): void {
  const whole = id !== "" && id.isWellFormed() && !id.includes("\0");
  if (whole && Buffer.byteLength(id) <= docIdBytesMax) return;
  const shown = JSON.stringify(id.slice(0, 64).toWellFormed());
  throw new SysError("EINVAL", `cannot put ${shown}: not an id`, {
    hint: `an id is Unicode text of 1 to ${docIdBytesMax} bytes without NUL`,
  });
}

function encode(name: string, doc: unknown, limits: StorageLimits): string {
  const refuse = (code: "EINVAL" | "EFBIG", state: string, hint: string) =>
    new SysError(code, `cannot put "${name}": ${state}`, { hint });
  if (typeof doc !== "object" || doc === null || Array.isArray(doc)) {
    throw refuse("EINVAL", "the document is not an object", 'such as {"title": "First"}');
  }
  const wrong = faultOf(doc, limits);
  if (wrong !== null) throw refuse("EINVAL", wrong, "store less in one document, as plain JSON");
  const json = JSON.stringify(doc);
  const bytes = Buffer.byteLength(json);
  if (bytes <= limits.docBytesMax) return json;
  const state = `the document has ${bytes} bytes, the limit is ${limits.docBytesMax}`;
  throw refuse("EFBIG", state, "keep large content in files (fs.write) and store its path");
}

/** What is wrong with a document's values, or null. Iterative: depth is the caller's. */
function faultOf(doc: object, { docDepthMax, docFieldsMax }: StorageLimits): string | null {
  let fields = 0;
  let level: unknown[] = [doc];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > docDepthMax) return `more than ${docDepthMax} levels`;
    const below: unknown[] = [];
    for (const each of level) {
      for (const [key, value] of Object.entries(each as object)) {
        if (++fields > docFieldsMax) return `more than ${docFieldsMax} fields`;
        if (!key.isWellFormed()) return "a name is not Unicode text";
        if (typeof value === "string" && !value.isWellFormed()) return "a text is not Unicode";
        if (typeof value === "object" && value !== null) below.push(value);
        else if (!isPlain(value)) return `"${key.slice(0, 64)}" is not JSON`;
      }
    }
    level = below;
  }
  return null;
}

const isPlain = (value: unknown): boolean =>
  value === null || ["string", "boolean"].includes(typeof value) || Number.isFinite(value);
