/** What an app keeps in keys and documents is counted exactly, and bounded. */
import { expect, test } from "bun:test";
import { SysError } from "../errno.ts";
import { limits } from "./limits.ts";
import type { Storage } from "./storage.ts";
import { movableMachine, temporaryStorage } from "./testing.ts";
import { rowBytes } from "./usage.ts";

const scope = { appId: "app_a", userId: null };
const other = { appId: "app_b", userId: null };

const counted = ({ read }: Storage): number | null =>
  read.get<{ bytes: number }>("SELECT bytes FROM storage_usage WHERE app_id = 'app_a'")?.bytes ??
  null;

/** The same, from the rows themselves. */
function recounted({ read }: Storage): number {
  const sum = (sizes: string, table: string) =>
    read.get<{ bytes: number }>(
      `SELECT total(${sizes} + ${rowBytes}) AS bytes FROM ${table} WHERE app_id = 'app_a'`,
    )?.bytes ?? 0;
  const keys = sum("length(CAST(key || value AS BLOB))", "storage_kv");
  return keys + sum("length(CAST(id || json AS BLOB))", "storage_doc");
}

const refusalOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "OK",
    (error: unknown) => (error instanceof SysError ? error.code : String(error)),
  );

test("every way of keeping and removing is counted", async () => {
  const machine = movableMachine();
  await using at = temporaryStorage({ machine });
  const { storage } = at;
  const { kv, docs } = storage;
  const place = { collection: "note", id: "ü" };
  const steps: (() => unknown)[] = [
    () => kv.set(scope, { key: "grüße", value: "€" }),
    () => kv.set(scope, { key: "grüße", value: "longer than before" }),
    () => kv.set(scope, { key: "grüße", value: 1 }),
    () => kv.incr(scope, "n", 1),
    () => kv.incr(scope, "n", 1_000_000),
    () => kv.set(scope, { key: "soon", value: "gone" }, { ttlMs: 1 }),
    () => docs.put(scope, { ...place, doc: { text: "ä" } }),
    () => docs.put(scope, { ...place, doc: { text: "much more of it" } }),
    () => docs.put(scope, { collection: "note", doc: {} }),
    () => kv.set(other, { key: "n", value: "another app's" }),
    () => machine.advance(10),
    () => kv.set(scope, { key: "soon", value: "again" }, { ttlMs: 1 }),
    () => kv.rm(scope, "grüße"),
    () => kv.rm(scope, "grüße"),
    () => docs.rm(scope, place),
    () => docs.rm(scope, place),
  ];
  for (const step of steps) {
    await step();
    expect(counted(storage)).toBe(recounted(storage));
  }
  await kv.purge("app_a");
  expect(counted(storage)).toBe(recounted(storage));
  await docs.purge("app_a");
  expect(counted(storage)).toBeNull();
});

test("an app at its limit is refused, may remove, and nobody else notices", async () => {
  await using at = temporaryStorage({ limits: { ...limits, recordsBytesMax: 1000 } });
  const { kv, docs } = at.storage;
  await kv.set(scope, { key: "a", value: "x".repeat(800) });
  expect(await refusalOf(kv.set(scope, { key: "b", value: "x".repeat(100) }))).toBe("EDQUOT");
  expect(await refusalOf(docs.put(scope, { collection: "n", doc: { x: "x".repeat(99) } }))).toBe(
    "EDQUOT",
  );
  expect(kv.get(scope, "b")).toBeNull();
  expect(counted(at.storage)).toBe(recounted(at.storage));
  expect(await refusalOf(kv.set(scope, { key: "a", value: "less" }))).toBe("OK");
  expect(await refusalOf(kv.set(scope, { key: "b", value: "x".repeat(100) }))).toBe("OK");
  expect(await refusalOf(kv.set(other, { key: "b", value: "x".repeat(800) }))).toBe("OK");
});
