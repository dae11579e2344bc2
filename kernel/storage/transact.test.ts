/** Transactions: all or none, in one commit, and what a refusal says. */
import { expect, test } from "bun:test";
import { SysError } from "../errno.ts";
import { temporaryStorage } from "./testing.ts";
import type { TransactOp } from "./transact.ts";

const scope = { appId: "app_a", userId: null };

test("changes are made in order, each seeing those before, in one commit", async () => {
  await using at = temporaryStorage();
  const { storage } = at;
  const { commits, writes } = storage.status();
  const results = await storage.transact(scope, [
    { op: "kv.set", key: "n", value: 1, ifVersion: 0 },
    { op: "kv.incr", key: "n", by: 2 },
    { op: "kv.check", key: "n", ifVersion: 2 },
    { op: "doc.put", collection: "note", doc: { a: 1 } },
    { op: "kv.rm", key: "absent" },
  ]);
  expect(storage.status()).toMatchObject({ commits: commits + 1, writes: writes + 1 });
  expect(results.map(({ op, version, sum, removed }) => [op, version, sum, removed])).toEqual([
    ["kv.set", 1, null, null],
    ["kv.incr", 2, 3, null],
    ["kv.check", null, null, null],
    ["doc.put", 1, null, null],
    ["kv.rm", null, null, false],
  ]);
  const id = results[3]?.id ?? "";
  expect(storage.docs.get(scope, { collection: "note", id })).toMatchObject({ doc: { a: 1 } });
});

const before: TransactOp[] = [
  { op: "kv.set", key: "k", value: 1 },
  { op: "doc.put", collection: "note", id: "n", doc: {} },
];

test.each<[string, TransactOp]>([
  ["ESTALE", { op: "kv.set", key: "k", value: 2, ifVersion: 7 }],
  ["ESTALE", { op: "kv.rm", key: "k", ifVersion: 7 }],
  ["ESTALE", { op: "kv.check", key: "k", ifVersion: 0 }],
  ["ESTALE", { op: "doc.put", collection: "note", id: "n", doc: {}, ifVersion: 0 }],
  ["ESTALE", { op: "doc.rm", collection: "note", id: "n", ifVersion: 7 }],
  ["ESTALE", { op: "doc.check", collection: "note", id: "x", ifVersion: 1 }],
  ["EINVAL", { op: "kv.set", key: "", value: 1 }],
  ["EINVAL", { op: "doc.put", collection: "note", id: "n", doc: [] }],
  ["EFBIG", { op: "kv.set", key: "k", value: "x".repeat(2 ** 20) }],
  ["EFBIG", { op: "doc.put", collection: "note", id: "n", doc: { x: "x".repeat(2 ** 20) } }],
  ["ERANGE", { op: "kv.incr", key: "k", by: 2 ** 53 - 1 }],
])("%s: nothing is kept, and the change is named", async (code, op) => {
  await using at = temporaryStorage();
  const { storage } = at;
  const refused = await storage.transact(scope, [...before, op]).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(SysError);
  expect(refused).toMatchObject({ code });
  expect((refused as SysError).message).toEndWith(`(change 3, ${op.op})`);
  expect(storage.kv.ls(scope)).toEqual([]);
  expect(storage.docs.get(scope, { collection: "note", id: "n" })).toBeNull();
});

test("at the disk's mark removals alone go through", async () => {
  await using at = temporaryStorage({ limits: { diskUsedMax: -1 } });
  const go = (ops: TransactOp[]) =>
    at.storage.transact(scope, ops).then(
      () => "OK",
      (error: SysError) => error.code,
    );
  expect(
    await go([
      { op: "kv.rm", key: "k" },
      { op: "doc.rm", collection: "c", id: "n" },
    ]),
  ).toBe("OK");
  expect(
    await go([
      { op: "kv.rm", key: "k" },
      { op: "kv.set", key: "k", value: 1 },
    ]),
  ).toBe("ENOSPC");
});
