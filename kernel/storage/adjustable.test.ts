/** Limits that are changed: at once, for good, within their bounds, and back. */
import { expect, test } from "bun:test";
import { realMachine } from "../machine.ts";
import { createStorage } from "./storage.ts";
import { temporaryDirectory } from "./testing.ts";

const scope = { appId: "app_a", userId: null };

test("a change is live, survives a restart, and can be taken back", async () => {
  using at = temporaryDirectory();
  const open = () => createStorage({ machine: realMachine(), dataDir: at.path, migrations: [] });
  const first = open();
  const value = "x".repeat(20_000);
  await first.kv.set(scope, { key: "a", value });
  expect(await first.limits.set("storage.kvValueBytesMax", 15_000)).toMatchObject({
    name: "storage.kvValueBytesMax",
    value: 15_000,
    standard: 1024 * 1024,
  });
  await expect(first.kv.set(scope, { key: "b", value })).rejects.toMatchObject({ code: "EFBIG" });
  await first.limits.set("diskUsedMax", 0.008);
  expect(first.writable()).toBe(false);
  await first.close();

  const second = open();
  expect(second.writable()).toBe(false);
  await second.limits.set("storage.diskUsedMax", null);
  await second.limits.set("storage.kvValueBytesMax", null);
  await second.kv.set(scope, { key: "b", value });
  expect(second.limits.ls().every(({ value: now, standard }) => now === standard)).toBe(true);
  await second.close();
});

test.each([
  ["storage.diskUsedMax", 1, "ERANGE"],
  ["storage.diskUsedMax", 0, "ERANGE"],
  ["storage.volumeBytesMax", 1.5, "ERANGE"],
  ["storage.volumeBytesMax", -1, "ERANGE"],
  ["storage.pageBytes", 4096, "ENOENT"],
  ["storage.kvValueBytesMaxx", 1, "ENOENT"],
])("%s to %d is %s", async (name, value, code) => {
  using at = temporaryDirectory();
  const storage = createStorage({ machine: realMachine(), dataDir: at.path, migrations: [] });
  await expect(storage.limits.set(name, value)).rejects.toMatchObject({ code });
  await storage.close();
});
