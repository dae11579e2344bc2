/**
 * Queries over the documents of one collection: walks an index or the whole collection in windows,
 * lets others have their turn in between, and pages by a cursor.
 *
 * Invariants
 * 1. The order is total: sort key (class, value), then id; so a cursor is a place in it, and what
 *    is inserted before or after moves no other document over a page's edge.
 * 2. No statement looks at more than a window of documents, and a window follows the time the one
 *    before took. A query that ends within its first slice sees one moment; a longer one sees each
 *    document as it is at the end.
 * 3. An index only narrows: every condition is tested on the document itself.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { StorageLimits } from "../limits.ts";
import type { Reader, SqlValue } from "../storage.ts";
import {
  Binds,
  type Condition,
  classSql,
  conditionSql,
  conditionsOf,
  fieldPath,
  keySql,
  operandKeySql,
  type Range,
  rangeOf,
} from "./field.ts";

/** What is looked for. `cursor` is the one of the page before. */
export interface DocQuery {
  readonly collection: string;
  readonly where?: unknown;
  /** A field; documents that lack it come first. Without one the order is that of the ids. */
  readonly sort?: string | undefined;
  readonly order?: "asc" | "desc" | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** A place in the order of a query. */
interface Place {
  readonly class: number;
  readonly value: number | string;
  readonly id: string;
}

interface Hit extends Place {
  readonly bytes: number;
}

export interface Finding {
  readonly machine: Machine;
  readonly read: Reader;
  readonly limits: StorageLimits;
  readonly signal?: AbortSignal | undefined;
}

/** The ids of a page in order, and the cursor of the next page or null. */
export interface FoundIds {
  readonly ids: readonly string[];
  readonly cursor: string | null;
  /** Reads one of them again, if it still matches. */
  readonly test: { readonly sql: string; readonly values: readonly SqlValue[] };
}

/** The query, understood: what it tests, in which order, and what it walks. */
interface Plan {
  readonly appId: string;
  readonly collection: string;
  readonly conditions: readonly Condition[];
  readonly sortPath: string | null;
  readonly down: boolean;
  readonly limit: number;
  readonly after: Place | null;
  /** The index that is walked, or null: the collection by id. */
  readonly index: { readonly id: number; readonly range: Range | null } | null;
  /** Whether the walk meets documents in the order of the query. */
  readonly inOrder: boolean;
  readonly fingerprint: string;
}

interface WalkRow {
  readonly at_class: number;
  readonly at_value: number | string;
  readonly id: string;
  readonly bytes: number | null;
  readonly class: number;
  readonly value: number | string;
}

/** Finds a page. EINVAL, ETIMEDOUT (declare an index), ECANCELED (the caller has gone). */
export async function find(on: Finding, appId: string, query: DocQuery): Promise<FoundIds> {
  const plan = planOf(on, appId, query);
  const hits = plan.limit === 0 ? [] : await walk(on, plan);
  const taken: Hit[] = [];
  let bytes = 0;
  for (const hit of hits.slice(0, plan.limit)) {
    bytes += hit.bytes;
    if (taken.length > 0 && bytes > on.limits.docPageBytesMax) break;
    taken.push(hit);
  }
  const last = taken.at(-1);
  const more = last !== undefined && hits.length > taken.length;
  const binds = new Binds();
  return {
    ids: taken.map(({ id }) => id),
    cursor: more ? cursorText(plan, last) : null,
    test: { sql: testSql(plan, binds), values: binds.values },
  };
}

function planOf({ read, limits }: Finding, appId: string, query: DocQuery): Plan {
  const { collection, where = {}, sort, order = "asc", limit = limits.docPage } = query;
  const conditions = conditionsOf(where, limits);
  const sortPath = sort === undefined ? null : fieldPath(sort, limits);
  const fingerprint = Bun.hash(JSON.stringify([collection, where, sort ?? null, order])).toString(
    36,
  );
  const after = query.cursor === undefined ? null : placeOf(query.cursor, fingerprint);
  const walked = chooseIndex(read, { appId, collection, conditions, sort });
  return {
    appId,
    collection,
    conditions,
    sortPath,
    down: order === "desc",
    limit: Math.min(limit, limits.docPageMax),
    after,
    ...walked,
    fingerprint,
  };
}

interface Choice {
  readonly appId: string;
  readonly collection: string;
  readonly conditions: readonly Condition[];
  readonly sort: string | undefined;
}

/** One value first, then the order, then a range, then everything. */
function chooseIndex(read: Reader, { appId, collection, conditions, sort }: Choice) {
  const ready = read.all<{ index_id: number; field: string }>(
    `SELECT index_id, field FROM storage_doc_index
     WHERE app_id = ? AND collection = ? AND ready = 1`,
    appId,
    collection,
  );
  const usable = ready.map(({ index_id, field }) => {
    const range = rangeOf(field, conditions);
    const inOrder = range?.point == null ? field === sort : sort === undefined || field === sort;
    return { index: { id: index_id, range }, inOrder };
  });
  const none = { index: null, inOrder: sort === undefined };
  return (
    usable.find(({ index }) => index.range?.point != null) ??
    usable.find(({ inOrder }) => inOrder) ??
    (none.inOrder ? undefined : usable.find(({ index }) => index.range !== null)) ??
    none
  );
}

/** Every condition on document `d`, as SQL. */
function testSql(plan: Plan, binds: Binds): string {
  const tests = plan.conditions.map((one) => conditionSql(one, "d.json", binds));
  return tests.length === 0 ? "1" : tests.map((test) => `(${test})`).join(" AND ");
}

/** One window of the walk: the places it passes, and which of them are hits. */
function windowSql(
  on: Finding,
  plan: Plan,
  from: { at: Place | null; rows: number },
): { readonly sql: string; readonly values: readonly SqlValue[] } {
  const binds = new Binds();
  const [past, direction] = plan.down ? ["<", "DESC"] : [">", "ASC"];
  const [app, collection] = [binds.add(plan.appId), binds.add(plan.collection)];
  const passed =
    plan.index === null
      ? collectionSql({ app, collection, past, direction }, from, binds)
      : indexSql(plan.index, { past, direction, limits: on.limits, from }, binds);
  const path = plan.sortPath === null ? null : binds.add(plan.sortPath);
  const keyClass = path === null ? "0" : classSql("d.json", path);
  const key = path === null ? "0" : keySql("d.json", path, on.limits);
  let test = testSql(plan, binds);
  // In order, the walk itself has begun behind the cursor.
  if (plan.after !== null && !plan.inOrder) {
    const place = [plan.after.class, plan.after.value, plan.after.id].map((one) => binds.add(one));
    test += ` AND (${keyClass}, ${key}, d.id) ${past} (${place.join(", ")})`;
  }
  const sql = `WITH w AS MATERIALIZED (${passed})
    SELECT w.class AS at_class, w.value AS at_value, w.id AS id, ${keyClass} AS class,
      ${key} AS value, CASE WHEN ${test} THEN octet_length(d.json) END AS bytes
    FROM w CROSS JOIN storage_doc d
    WHERE d.app_id = ${app} AND d.collection = ${collection} AND d.id = w.id
    ORDER BY w.class ${direction}, w.value ${direction}, w.id ${direction}`;
  return { sql, values: binds.values };
}

interface Walking {
  readonly app: string;
  readonly collection: string;
  readonly past: string | undefined;
  readonly direction: string | undefined;
}

function collectionSql(
  { app, collection, past, direction }: Walking,
  { at, rows }: { at: Place | null; rows: number },
  binds: Binds,
): string {
  return `SELECT 0 AS class, 0 AS value, id FROM storage_doc
    WHERE app_id = ${app} AND collection = ${collection}
      ${at === null ? "" : `AND id ${past} ${binds.add(at.id)}`}
    ORDER BY id ${direction} LIMIT ${binds.add(rows)}`;
}

interface IndexWalk extends Pick<Walking, "past" | "direction"> {
  readonly limits: StorageLimits;
  readonly from: { at: Place | null; rows: number };
}

function indexSql(
  { id, range }: NonNullable<Plan["index"]>,
  { past, direction, limits, from: { at, rows } }: IndexWalk,
  binds: Binds,
): string {
  const where = [`index_id = ${binds.add(id)}`];
  const key = (operand: number | string) => operandKeySql(operand, binds, limits);
  if (range !== null) where.push(`class = ${binds.add(range.valueClass)}`);
  if (range?.point != null) where.push(`value = ${key(range.point)}`);
  if (range?.least != null) where.push(`value >= ${key(range.least)}`);
  if (range?.most != null) where.push(`value <= ${key(range.most)}`);
  if (at !== null && range?.point != null) where.push(`id ${past} ${binds.add(at.id)}`);
  else if (at !== null) {
    const place = [at.class, at.value, at.id].map((one) => binds.add(one));
    where.push(`(class, value, id) ${past} (${place.join(", ")})`);
  }
  const order = range?.point == null ? ["class", "value", "id"] : ["id"];
  return `SELECT class, value, id FROM storage_doc_entry WHERE ${where.join(" AND ")}
    ORDER BY ${order.map((one) => `${one} ${direction}`).join(", ")} LIMIT ${binds.add(rows)}`;
}

/** The hits in the query's order: one more than the page takes, when there is one more. */
async function walk(on: Finding, plan: Plan): Promise<Hit[]> {
  const { machine, limits, read } = on;
  const wanted = plan.limit + 1;
  const hits: Hit[] = [];
  const startedMs = machine.monotonicMs();
  let at = plan.inOrder ? plan.after : null;
  let rows = 32;
  for (let sliceMs = startedMs; ; ) {
    const beforeMs = machine.monotonicMs();
    const { sql, values } = windowSql(on, plan, { at, rows });
    const passed = read.all<WalkRow>(sql, ...values);
    for (const row of passed) {
      if (row.bytes !== null) keep(hits, { ...row, bytes: row.bytes }, { plan, wanted });
    }
    const last = passed.at(-1);
    if (last === undefined || passed.length < rows) return hits;
    if (plan.inOrder && hits.length >= wanted) return hits;
    at = { class: last.at_class, value: last.at_value, id: last.id };
    const nowMs = machine.monotonicMs();
    rows = nextWindow(rows, nowMs - beforeMs, limits);
    if (nowMs - sliceMs < limits.docSliceMs) continue;
    checkPatience(on, plan, nowMs - startedMs);
    await new Promise<void>((resolve) => setImmediate(resolve));
    sliceMs = machine.monotonicMs();
  }
}

/** Twice as many after a quick window, fewer after a slow one. Pure. */
function nextWindow(rows: number, tookMs: number, limits: StorageLimits): number {
  if (tookMs > limits.docSliceMs) return Math.max(1, Math.floor(rows / 2));
  return tookMs * 2 < limits.docSliceMs ? Math.min(rows * 2, limits.docWindowMax) : rows;
}

function checkPatience({ limits, signal }: Finding, plan: Plan, tookMs: number): void {
  const about = `cannot find in "${plan.collection}"`;
  if (signal?.aborted) throw new SysError("ECANCELED", `${about}: the caller has gone`);
  if (tookMs < limits.docFindMsMax) return;
  throw new SysError("ETIMEDOUT", `${about}: not done within ${limits.docFindMsMax} ms`, {
    hint: "declare an index on the field it sorts or selects by: storage.doc.index",
  });
}

function keep(hits: Hit[], hit: Hit, { plan, wanted }: { plan: Plan; wanted: number }): void {
  if (plan.inOrder) {
    if (hits.length < wanted) hits.push(hit);
    return;
  }
  const sign = plan.down ? -1 : 1;
  let [low, high] = [0, hits.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = hits[middle];
    if (other !== undefined && sign * comparePlaces(other, hit) < 0) low = middle + 1;
    else high = middle;
  }
  if (low >= wanted) return;
  hits.splice(low, 0, hit);
  if (hits.length > wanted) hits.pop();
}

/** As SQLite orders them: by class, then number or code points, then the id's code points. */
function comparePlaces(a: Place, b: Place): number {
  if (a.class !== b.class) return a.class - b.class;
  const [x, y] = [a.value, b.value];
  if (typeof x === "string" && typeof y === "string") {
    return compareTexts(x, y) || compareTexts(a.id, b.id);
  }
  if (x !== y) return x < y ? -1 : 1;
  return compareTexts(a.id, b.id);
}

const compareTexts = (a: string, b: string): number =>
  a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));

function cursorText({ fingerprint }: Plan, { class: valueClass, value, id }: Place): string {
  return Buffer.from(JSON.stringify([fingerprint, valueClass, value, id])).toString("base64url");
}

function placeOf(cursor: string, fingerprint: string): Place {
  const refusal = new SysError("EINVAL", "cannot go on: this cursor is of another query", {
    hint: "use the cursor with the collection, where, sort and order it came from",
  });
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
    if (!Array.isArray(parts) || parts[0] !== fingerprint) throw refusal;
    const [, valueClass, value, id] = parts as unknown[];
    const known = typeof value === "number" || typeof value === "string";
    if (!Number.isInteger(valueClass) || !known || typeof id !== "string") throw refusal;
    return { class: valueClass as number, value, id };
  } catch {
    throw refusal;
  }
}
