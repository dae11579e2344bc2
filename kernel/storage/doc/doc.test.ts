/** Documents: what is kept, compare-and-set, indexes, queries, pages, and refusals. */
import { describe, expect, test } from "bun:test";
import { SysError } from "../../errno.ts";
import type { KvScope } from "../kv.ts";
import { limits } from "../limits.ts";
import { temporaryStorage } from "../testing.ts";
import type { DocEntry, Docs } from "./doc.ts";
import type { DocQuery } from "./find.ts";

const blog: KvScope = { appId: "app_a", userId: null };
const shop: KvScope = { appId: "app_b", userId: null };

async function errnoOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return "OK";
  } catch (error) {
    if (error instanceof SysError) return error.code;
    throw error;
  }
}

/** Puts documents under ids a, b, c … of the collection "note". */
async function filled(docs: Docs, contents: readonly object[]): Promise<void> {
  await Promise.all(
    contents.map((doc, i) =>
      docs.put(blog, { collection: "note", id: String.fromCharCode(97 + i), doc }),
    ),
  );
}

async function idsOf(docs: Docs, query: Omit<DocQuery, "collection">): Promise<string> {
  const { entries } = await docs.find(blog, { collection: "note", ...query });
  return entries.map(({ id }) => id).join("");
}

describe("one document", () => {
  test("is kept as it was given, of one app only", async () => {
    await using at = temporaryStorage();
    const { docs } = at.storage;
    const doc = JSON.parse('{"__proto__":1,"ü ":"é\\u0000","n":[1e20,-0.5,null,{"":true}]}');
    const { id, version } = await docs.put(blog, { collection: "note", doc });
    expect(version).toBe(1);
    expect(docs.get(blog, { collection: "note", id })).toMatchObject({ id, version: 1 });
    const kept = docs.get(blog, { collection: "note", id })?.doc;
    expect(JSON.stringify(kept)).toBe(JSON.stringify(doc));
    expect(docs.get(shop, { collection: "note", id })).toBeNull();
    expect(docs.get(blog, { collection: "other", id })).toBeNull();
  });

  test("versions are compared, and never repeat", async () => {
    await using at = temporaryStorage();
    const { docs } = at.storage;
    const place = { collection: "note", id: "n" };
    const put = (ifVersion?: number) => docs.put(blog, { ...place, doc: {} }, { ifVersion });
    expect((await put(0)).version).toBe(1);
    expect(await errnoOf(() => put(0))).toBe("ESTALE");
    expect((await put(1)).version).toBe(2);
    expect(await errnoOf(() => docs.rm(blog, place, { ifVersion: 1 }))).toBe("ESTALE");
    expect(await docs.rm(blog, place, { ifVersion: 2 })).toBe(true);
    expect(await docs.rm(blog, place)).toBe(false);
    expect((await put(0)).version).toBe(3);
  });

  test("what is no document is refused", async () => {
    await using at = temporaryStorage();
    const put = (doc: unknown, id = "n") =>
      errnoOf(() => at.storage.docs.put(blog, { collection: "note", id, doc }));
    let deep: unknown = 1;
    for (let i = 0; i < limits.docDepthMax; i++) deep = { deep };
    const wide = Object.fromEntries(
      Array.from({ length: limits.docFieldsMax + 1 }, (_, i) => [i, 1]),
    );
    for (const doc of [null, 1, "x", [], { a: undefined }, { a: 1n }, { a: Number.NaN }]) {
      expect(await put(doc)).toBe("EINVAL");
    }
    expect(await put({ deep })).toBe("EINVAL");
    expect(await put(wide)).toBe("EINVAL");
    expect(await put({ a: "\ud800" })).toBe("EINVAL");
    expect(await put({ a: "x".repeat(limits.docBytesMax) })).toBe("EFBIG");
    for (const id of ["", "a\0", "\ud800", "x".repeat(limits.docIdBytesMax + 1)]) {
      expect(await put({}, id)).toBe("EINVAL");
    }
    expect(await put({ a: "x".repeat(limits.docBytesMax - 8) })).toBe("OK");
  });
});

const mixed = [
  { v: 2 }, // a
  { v: "10" }, // b
  {}, // c
  { v: null }, // d
  { v: true }, // e
  { v: [1, "x"] }, // f
  { v: 10 }, // g
  { v: "\u{1f600}" }, // h
  { v: "\uffee" }, // i
  { v: false }, // j
  { v: -1.5 }, // k
  { v: { w: 2 } }, // l
];

describe("queries, with and without an index", () => {
  const cases: readonly (readonly [object, string])[] = [
    [{ v: 2 }, "a"],
    [{ v: { $eq: "10" } }, "b"],
    [{ v: null }, "d"],
    [{ v: true }, "e"],
    [{ v: { $ne: 2 } }, "bcdefghijkl"],
    [{ v: { $gt: 2 } }, "g"],
    [{ v: { $gte: 2 } }, "ag"],
    [{ v: { $lt: 2 } }, "k"],
    [{ v: { $lte: 2, $gt: -2 } }, "ak"],
    [{ v: { $gt: "" } }, "bhi"],
    [{ v: { $lt: "\u{1f600}" } }, "bi"],
    [{ v: { $gt: 2, $lt: "x" } }, ""],
    [{ v: { $in: [2, "10", null, true, "no"] } }, "abde"],
    [{ v: { $in: [] } }, ""],
    [{ v: { $nin: [2, "10"] } }, "cdefghijkl"],
    [{ v: { $contains: "x" } }, "f"],
    [{ v: { $contains: 1 } }, "f"],
    [{ v: { $contains: "0" } }, "b"],
    [{ v: { $exists: false } }, "c"],
    [{ v: { $exists: true, $ne: null } }, "abefghijkl"],
    [{ "v.w": 2 }, "l"],
    [{ v: 2, "v.w": 2 }, ""],
    [{}, "abcdefghijkl"],
  ];

  test.each(["not at all", "by the field"])("indexed %s", async (indexed) => {
    await using at = temporaryStorage();
    const { docs } = at.storage;
    if (indexed === "by the field") await docs.index(blog, { collection: "note", field: "v" });
    await filled(docs, mixed);
    for (const [where, ids] of cases) {
      expect([where, await idsOf(docs, { where })]).toEqual([where, ids]);
      const reversed = await idsOf(docs, { where, order: "desc" });
      expect(reversed).toBe([...ids].reverse().join(""));
    }
    expect(await idsOf(docs, { sort: "v" })).toBe("cdjekagbihfl");
    expect(await idsOf(docs, { sort: "v", order: "desc" })).toBe("lfhibgakejdc");
    expect(await idsOf(docs, { sort: "v", where: { v: { $gte: -5 } } })).toBe("kag");
    expect(await idsOf(docs, { sort: "none" })).toBe("abcdefghijkl");
  });

  test("an index made afterwards is whole, and follows changes and removals", async () => {
    await using at = temporaryStorage({ limits: { docIndexRows: 5 } });
    const { docs } = at.storage;
    const at2 = { collection: "note", field: "v" };
    await filled(docs, mixed);
    expect(await docs.index(blog, at2)).toEqual({ ...at2, ready: true });
    expect(await docs.index(blog, at2)).toEqual({ ...at2, ready: true });
    expect(await idsOf(docs, { sort: "v" })).toBe("cdjekagbihfl");
    await docs.put(blog, { collection: "note", id: "c", doc: { v: 3 } });
    await docs.rm(blog, { collection: "note", id: "a" });
    expect(await idsOf(docs, { sort: "v" })).toBe("djekcgbihfl");
    expect(await idsOf(docs, { where: { v: 2 } })).toBe("");
    const count = () =>
      at.storage.read.get<{ n: number }>("SELECT count(*) AS n FROM storage_doc_entry");
    expect(count()).toEqual({ n: 11 });
    expect(docs.indexes(blog)).toEqual([{ ...at2, ready: true }]);
    expect(await docs.unindex(blog, at2)).toBe(true);
    expect(await docs.unindex(blog, at2)).toBe(false);
    expect(count()).toEqual({ n: 0 });
  });

  test("an index that was cut is not used, and goes on when declared again", async () => {
    await using at = temporaryStorage();
    const { docs } = at.storage;
    await filled(docs, mixed);
    const row =
      "INSERT INTO storage_doc_index (app_id, collection, field, path) VALUES (?, ?, ?, ?)";
    await at.storage.write((tx) => tx.run(row, "app_a", "note", "v", '$."v"'));
    expect(await idsOf(docs, { sort: "v" })).toBe("cdjekagbihfl");
    await docs.put(blog, { collection: "note", id: "c", doc: { v: 3 } });
    expect(docs.indexes(blog)).toMatchObject([{ ready: false }]);
    await docs.index(blog, { collection: "note", field: "v" });
    expect(await idsOf(docs, { sort: "v" })).toBe("djekacgbihfl");
  });

  test("indexes are bounded", async () => {
    await using at = temporaryStorage({ limits: { docIndexesMax: 2, docIndexesAppMax: 3 } });
    const declare = (collection: string, field: string) =>
      errnoOf(() => at.storage.docs.index(blog, { collection, field }));
    expect(await declare("note", "a")).toBe("OK");
    expect(await declare("note", "b")).toBe("OK");
    expect(await declare("note", "c")).toBe("EDQUOT");
    expect(await declare("note", "b")).toBe("OK");
    expect(await declare("other", "a")).toBe("OK");
    expect(await declare("third", "a")).toBe("EDQUOT");
  });
});

describe("pages", () => {
  test.each(["", "v"])("sorted by %j, stable under inserts before and after", async (field) => {
    const sort = field === "" ? undefined : field;
    await using at = temporaryStorage();
    const { docs } = at.storage;
    for (const indexed of [false, true]) {
      if (indexed) await docs.index(blog, { collection: "note", field: "v" });
      await filled(docs, mixed);
      const whole = await idsOf(docs, sort === undefined ? {} : { sort });
      let seen = "";
      let cursor: string | undefined;
      for (let pages = 0; pages < 20; pages++) {
        const page: { entries: DocEntry[]; cursor: string | null } = await docs.find(blog, {
          collection: "note",
          sort,
          limit: 5,
          cursor,
        });
        seen += page.entries.map(({ id }) => id).join("");
        if (page.cursor === null) break;
        cursor = page.cursor;
        const sorts = { collection: "note", doc: { v: false } };
        await docs.put(blog, { ...sorts, id: "A" });
      }
      expect(seen.replace("A", "")).toBe(whole);
      await docs.rm(blog, { collection: "note", id: "A" });
    }
  });

  test("a page ends at its bytes, and goes on after", async () => {
    await using at = temporaryStorage({ limits: { docPageBytesMax: 250 } });
    const { docs } = at.storage;
    await filled(
      docs,
      Array.from({ length: 5 }, () => ({ text: "x".repeat(89) })),
    );
    const first = await docs.find(blog, { collection: "note" });
    expect(first.entries.map(({ id }) => id)).toEqual(["a", "b"]);
    const second = await docs.find(blog, { collection: "note", cursor: first.cursor ?? "" });
    expect(second.entries.map(({ id }) => id)).toEqual(["c", "d"]);
  });

  test("a cursor at a number beyond 2^53 is that number again", async () => {
    await using at = temporaryStorage();
    const { docs } = at.storage;
    await filled(docs, [{ v: 2 ** 60 }, { v: 2 ** 60 + 256 }, { v: 2 ** 60 - 128 }]);
    const query = { collection: "note", sort: "v", limit: 2 };
    const first = await docs.find(blog, query);
    expect(first.entries.map(({ id }) => id)).toEqual(["c", "a"]);
    const second = await docs.find(blog, { ...query, cursor: first.cursor ?? "" });
    expect(second.entries.map(({ id }) => id)).toEqual(["b"]);
  });

  test("a cursor of another query, or of nobody, is refused", async () => {
    await using at = temporaryStorage();
    const { docs } = at.storage;
    await filled(docs, mixed);
    const { cursor } = await docs.find(blog, { collection: "note", limit: 1 });
    const go = (query: Partial<DocQuery>) =>
      errnoOf(() => docs.find(blog, { collection: "note", cursor: cursor ?? "", ...query }));
    expect(await go({})).toBe("OK");
    expect(await go({ order: "desc" })).toBe("EINVAL");
    expect(await go({ where: { v: 1 } })).toBe("EINVAL");
    for (const odd of ["", "x", "bnVsbA", Buffer.from('["x",{},[],1]').toString("base64url")]) {
      expect(await go({ cursor: odd })).toBe("EINVAL");
    }
  });

  test("a query without an index is bounded in time, and others have their turn", async () => {
    await using at = temporaryStorage({
      limits: { docFindMsMax: 0, docSliceMs: 0, docWindowMax: 2 },
    });
    await filled(
      at.storage.docs,
      Array.from({ length: 200 }, () => ({ v: 1 })),
    );
    const query = { collection: "note", where: { v: 2 } };
    expect(await errnoOf(() => at.storage.docs.find(blog, query))).toBe("ETIMEDOUT");
    const signal = AbortSignal.abort();
    expect(await errnoOf(() => at.storage.docs.find(blog, query, signal))).toBe("ECANCELED");
  });
});

describe("names never reach SQL as text", () => {
  const hostile = [
    "x') OR 1=1 --",
    "x'; DROP TABLE storage_doc; --",
    "$.x",
    "x]",
    "x[0]",
    "?1",
    "x\n--",
    'x" || (SELECT json FROM storage_doc) || "',
    "\\",
    "",
    "a..b",
    "ñ 名",
  ];

  test.each(hostile)("%j as field, operand, sort and index", async (name) => {
    await using at = temporaryStorage();
    const { docs } = at.storage;
    await docs.put(shop, { collection: "note", id: "secret", doc: { x: 1, [name]: 1 } });
    await docs.put(blog, { collection: "note", id: "own", doc: { x: 1 } });
    const works: (() => Promise<unknown>)[] = [
      () => docs.find(blog, { collection: "note", where: { [name]: 1 } }),
      () => docs.find(blog, { collection: "note", where: { x: name } }),
      () => docs.find(blog, { collection: "note", where: { x: { $in: [name] } } }),
      () => docs.find(blog, { collection: "note", where: { x: { $contains: name } } }),
      () => docs.find(blog, { collection: name }),
    ];
    for (const work of works) {
      const found = await work().then(
        (page) => (page as { entries: unknown[] }).entries,
        (error: SysError) => error.code,
      );
      expect([[], "EINVAL"]).toContainEqual(found as never);
    }
    const sorted = await errnoOf(() => docs.find(blog, { collection: "note", sort: name }));
    expect(["OK", "EINVAL"]).toContain(sorted);
    expect(["OK", "EINVAL"]).toContain(
      await errnoOf(() => docs.index(blog, { collection: "note", field: name })),
    );
    expect(docs.get(shop, { collection: "note", id: "secret" })).not.toBeNull();
    expect(await idsOf(docs, {})).toBe("own");
  });

  test("operators that are none, and operands of the wrong kind", async () => {
    await using at = temporaryStorage();
    const find = (where: unknown) =>
      errnoOf(() => at.storage.docs.find(blog, { collection: "note", where }));
    const bad = [
      [],
      "x",
      { $or: [] },
      { v: { $regex: "x" } },
      { v: { __proto__x: 1 } },
      { v: { $gt: null } },
      { v: { $eq: {} } },
      { v: [1] },
      { v: { $in: 1 } },
      { v: { $in: [{}] } },
      { v: { $exists: 1 } },
      { v: { $in: Array(limits.docOperandsMax + 1).fill(1) } },
      Object.fromEntries(
        Array.from({ length: limits.docConditionsMax + 1 }, (_, i) => [`f${i}`, 1]),
      ),
      { ["x".repeat(limits.docFieldCharsMax + 1)]: 1 },
    ];
    for (const where of bad) expect([where, await find(where)]).toEqual([where, "EINVAL"]);
  });
});

test("purge forgets an app's documents, indexes and versions, and nobody else's", async () => {
  await using at = temporaryStorage({ limits: { docIndexRows: 4 } });
  const { docs } = at.storage;
  await filled(docs, mixed);
  await docs.rm(blog, { collection: "note", id: "a" });
  await docs.index(blog, { collection: "note", field: "v" });
  await docs.put(shop, { collection: "note", id: "kept", doc: {} });
  expect(await docs.purge(blog.appId)).toBe(11);
  for (const table of ["storage_doc", "storage_doc_floor", "storage_doc_index"]) {
    const sql = `SELECT count(*) AS n FROM ${table} WHERE app_id = 'app_a'`;
    expect(at.storage.read.get<{ n: number }>(sql)).toEqual({ n: 0 });
  }
  const entries = "SELECT count(*) AS n FROM storage_doc_entry";
  expect(at.storage.read.get<{ n: number }>(entries)).toEqual({ n: 0 });
  expect(docs.get(shop, { collection: "note", id: "kept" })).not.toBeNull();
});
