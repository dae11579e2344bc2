/**
 * The system calls of documents and transactions: `storage.doc.…` and `storage.transact`. An app
 * leaves `app` out and means its own data; everybody else names one.
 */
import { z } from "zod";
import { call, type Invocation } from "../../call.ts";
import type { Kernel } from "../../kernel.ts";
import type { KvScope } from "../kv.ts";
import { limits } from "../limits.ts";

const App = z
  .string()
  .min(1)
  .optional()
  .describe("app, by name or id; an app itself leaves it out and means its own data");
const Collection = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/)
  .describe("collection: letters, digits, _ and -, at most 64");
const Id = z.string().describe(`id, 1 to ${limits.docIdBytesMax} bytes of UTF-8`);
const Field = z.string().describe("field; a field within a field is author.name");
const IfVersion = z.int().min(0).describe("only when the stored version is this one (0: absent)");
// Not a record: that would drop names such as __proto__ and copy every document.
const Doc = z.unknown().meta({ type: "object" });

const stamp = {
  id: z.string().describe("id"),
  version: z.int().describe("grows with each change and never repeats, from 1"),
  updatedAt: z.int().describe("Unix ms of the last change"),
};
const Entry = z
  .object({ ...stamp, doc: Doc.describe("the document") })
  .describe("one document and its version");

const Index = z.object({
  collection: z.string().describe("collection"),
  field: z.string().describe("field"),
  ready: z.boolean().describe("whether queries use it; false while it is made, or was cut"),
});

/** Whose data a call is about. */
function scope(kernel: Kernel, { caller }: Invocation, app: string | undefined): KvScope {
  return { appId: kernel.app.subject(caller, app).id, userId: caller.userId };
}

const everywhere = ["app", "http", "cli"] as const;

export const doc = {
  put: call({
    summary: "Write one document of an app; answers when it is on the disk",
    manual:
      "The document is replaced whole. Without an id one is made up. With ifVersion nothing " +
      "changes unless the stored version is that one (0: there is none), else ESTALE.",
    input: z.object({
      app: App,
      collection: Collection,
      id: Id.optional(),
      doc: Doc.describe(`JSON object of at most ${limits.docBytesMax} bytes`),
      ifVersion: IfVersion.optional(),
    }),
    output: z.object(stamp),
    args: ["app", "collection", "id", "doc"],
    surfaces: everywhere,
    secrets: ["doc"],
    needs: "storage:write",
    errors: ["ENOENT", "ESTALE", "EFBIG", "EDQUOT", "ENOSPC"],
    effect: "write",
    examples: [
      {
        say: "Keep a note",
        input: { app: "blog", collection: "note", id: "n1", doc: { title: "First", stars: 3 } },
      },
    ],
    run: (kernel, at, { app, ifVersion, ...draft }) =>
      kernel.storage.docs.put(scope(kernel, at, app), draft, { ifVersion }),
  }),

  get: call({
    summary: "Read one document of an app",
    manual: "The reply is null when there is no such document.",
    input: z.object({ app: App, collection: Collection, id: Id }),
    output: Entry.nullable(),
    args: ["app", "collection", "id"],
    surfaces: everywhere,
    needs: "storage:read",
    errors: ["ENOENT"],
    effect: "read",
    examples: [{ say: "Read it again", input: { app: "blog", collection: "note", id: "n1" } }],
    run: (kernel, at, { app, ...place }) => kernel.storage.docs.get(scope(kernel, at, app), place),
  }),

  find: call({
    summary: "Find documents of an app by their fields, a page at a time",
    manual:
      "where names fields and what must hold of them, all together: a plain value for equality, " +
      "or operators: $eq $ne $gt $gte $lt $lte $in $nin $contains $exists. $ne and $nin hold " +
      "where the field is missing; an order holds between two numbers or two texts only; " +
      "$contains looks into a list or a text. Sorted by a field, values come in this order: " +
      "missing, null, false, true, numbers, texts by code point (their first " +
      `${limits.docSortCharsMax} characters), lists and objects; what is equal is in order of ` +
      "id. A page may be shorter than asked for; it is the last one when cursor is null. Declare " +
      "an index on fields that large collections are selected or sorted by.",
    input: z.object({
      app: App,
      collection: Collection,
      where: Doc.optional().describe('such as {"stars":{"$gte":3},"author.name":"Ada"}'),
      sort: Field.optional().describe("field to sort by; the id when it is left out"),
      order: z.enum(["asc", "desc"]).default("asc").describe("ascending or descending"),
      limit: z
        .int()
        .min(1)
        .max(limits.docPageMax)
        .default(limits.docPage)
        .describe("documents at most"),
      cursor: z.string().max(8192).optional().describe("the cursor of the page before"),
    }),
    output: z.object({
      entries: z.array(Entry).describe("what was found"),
      cursor: z.string().nullable().describe("where the next page begins, or null"),
    }),
    args: ["app", "collection", "where"],
    surfaces: everywhere,
    needs: "storage:read",
    errors: ["ENOENT", "ETIMEDOUT", "ECANCELED"],
    effect: "read",
    examples: [
      {
        say: "The best notes",
        input: {
          app: "blog",
          collection: "note",
          where: { stars: { $gte: 3 } },
          sort: "stars",
          order: "desc",
        },
      },
    ],
    run: (kernel, at, { app, ...query }) =>
      kernel.storage.docs.find(scope(kernel, at, app), query, at.signal),
  }),

  rm: call({
    summary: "Remove one document of an app",
    input: z.object({
      app: App,
      collection: Collection,
      id: Id,
      ifVersion: IfVersion.optional(),
    }),
    output: z.object({ removed: z.boolean().describe("whether it was there") }),
    args: ["app", "collection", "id"],
    surfaces: everywhere,
    needs: "storage:write",
    errors: ["ENOENT", "ESTALE", "ENOSPC"],
    effect: "destroy",
    idempotent: true,
    examples: [{ say: "Forget a note", input: { app: "blog", collection: "note", id: "n1" } }],
    run: async (kernel, at, { app, ifVersion, ...place }) => ({
      removed: await kernel.storage.docs.rm(scope(kernel, at, app), place, { ifVersion }),
    }),
  }),

  index: call({
    summary: "Declare an index on a field of a collection; answers when it is complete",
    manual: "Declared once, it is kept with every change; declaring it again changes nothing.",
    input: z.object({ app: App, collection: Collection, field: Field }),
    output: Index,
    args: ["app", "collection", "field"],
    surfaces: everywhere,
    needs: "storage:write",
    errors: ["ENOENT", "EDQUOT", "ENOSPC"],
    effect: "write",
    idempotent: true,
    examples: [
      { say: "Sort by stars", input: { app: "blog", collection: "note", field: "stars" } },
    ],
    run: (kernel, at, { app, ...on }) => kernel.storage.docs.index(scope(kernel, at, app), on),
  }),

  unindex: call({
    summary: "Drop an index of a collection; the documents stay",
    input: z.object({ app: App, collection: Collection, field: Field }),
    output: z.object({ removed: z.boolean().describe("whether there was one") }),
    args: ["app", "collection", "field"],
    surfaces: everywhere,
    needs: "storage:write",
    errors: ["ENOENT", "ENOSPC"],
    effect: "write",
    idempotent: true,
    examples: [{ say: "No longer", input: { app: "blog", collection: "note", field: "stars" } }],
    run: async (kernel, at, { app, ...on }) => ({
      removed: await kernel.storage.docs.unindex(scope(kernel, at, app), on),
    }),
  }),

  indexes: call({
    summary: "List the indexes an app has declared",
    input: z.object({ app: App }),
    output: z.array(Index),
    args: ["app"],
    surfaces: everywhere,
    needs: "storage:read",
    errors: ["ENOENT"],
    effect: "read",
    examples: [{ say: "What is indexed?", input: { app: "blog" } }],
    run: (kernel, at, { app }) => kernel.storage.docs.indexes(scope(kernel, at, app)),
  }),
};

const Key = z.string().describe(`key, 1 to ${limits.kvKeyBytesMax} bytes of UTF-8`);
const place = { collection: Collection, id: Id };
const ttlMs = z.int().min(1).max(limits.kvTtlMsMax).optional().describe("ms until it expires");

const Op = z
  .discriminatedUnion("op", [
    z.strictObject({
      op: z.literal("kv.set").describe("writes a key"),
      key: Key,
      value: z.unknown().describe("any JSON value"),
      ttlMs,
      ifVersion: IfVersion.optional(),
    }),
    z.strictObject({
      op: z.literal("kv.rm").describe("removes a key"),
      key: Key,
      ifVersion: IfVersion.optional(),
    }),
    z.strictObject({
      op: z.literal("kv.incr").describe("adds to an integer"),
      key: Key,
      by: z.int().default(1).describe("how much"),
    }),
    z.strictObject({
      op: z.literal("kv.check").describe("only compares"),
      key: Key,
      ifVersion: IfVersion,
    }),
    z.strictObject({
      op: z.literal("doc.put").describe("writes a document"),
      collection: Collection,
      id: Id.optional(),
      doc: Doc.describe("JSON object"),
      ifVersion: IfVersion.optional(),
    }),
    z.strictObject({
      op: z.literal("doc.rm").describe("removes a document"),
      ...place,
      ifVersion: IfVersion.optional(),
    }),
    z.strictObject({
      op: z.literal("doc.check").describe("only compares"),
      ...place,
      ifVersion: IfVersion,
    }),
  ])
  .describe("one change");

export const transact = call({
  summary: "Make several changes of keys and documents at once: all of them or none",
  manual:
    "The changes are made in order, each seeing those before it, in one durable write. When one " +
    "is refused (ESTALE for a version that has changed, naming the change) nothing is kept. " +
    "kv.check and doc.check change nothing and make the rest depend on a version.",
  input: z.object({
    app: App,
    ops: z.array(Op).min(1).max(limits.transactOpsMax).describe("the changes"),
  }),
  output: z.array(
    z.object({
      op: z.string().describe("what was done"),
      version: z.int().nullable().describe("the version it has now, or null"),
      id: z.string().nullable().describe("id of a document that was written, or null"),
      sum: z.int().nullable().describe("what kv.incr came to, or null"),
      removed: z.boolean().nullable().describe("whether what was removed was there, or null"),
    }),
  ),
  args: ["app", "ops"],
  surfaces: everywhere,
  secrets: ["ops"],
  needs: "storage:write",
  errors: ["ENOENT", "ESTALE", "EFBIG", "ERANGE", "EDQUOT", "ENOSPC"],
  effect: "write",
  examples: [
    {
      say: "Write an order and count it",
      input: {
        app: "shop",
        ops: [
          { op: "doc.put", collection: "order", id: "o1", doc: { total: 12 }, ifVersion: 0 },
          { op: "kv.incr", key: "orders" },
        ],
      },
    },
  ],
  run: (kernel, at, { app, ops }) => kernel.storage.transact(scope(kernel, at, app), ops),
});
