/** What a user left is told and erased over every domain; apps and their data keep working. */
import { expect, test } from "bun:test";
import { type Caller, localOwner } from "../../kernel/caller.ts";
import type { Left } from "../../kernel/storage/mod.ts";
import { deployed } from "../deployed.ts";
import { testKernel } from "../kernel.ts";
import { traces } from "../trace.ts";

test("a user is told everything of theirs, and erased without a trace", async () => {
  await using k = await testKernel();
  const capabilities = ["app:*", "fs:*", "storage:*", "net:*", "security:read"];
  const password = "gravel otter lamp eight";
  const ada = await k.call<{ id: string }>("security.user.add", {
    name: "ada",
    password,
    capabilities,
  });
  const from: Caller = {
    kind: "user",
    via: "session",
    userId: ada.id,
    appId: null,
    releaseId: null,
    grants: capabilities,
    address: "192.0.2.1",
  };
  await deployed(
    { call: (name, input, options) => k.call(name, input, { ...options, from }) },
    "blog",
    { files: { "index.html": "<p>ada" } },
  );
  await k.call("security.login", { user: "ada", password });
  await k.call("storage.kv.set", { app: "blog", key: "hers", value: "ada wrote this" }, { from });
  await k.call("storage.kv.set", { app: "blog", key: "roots", value: 1 });
  const { id: appId } = k.kernel.app.get("blog");
  const scope = { appId, userId: ada.id };
  await k.kernel.storage.docs.index(scope, { collection: "notes", field: "by" });
  await k.kernel.storage.docs.put(scope, {
    collection: "notes",
    id: "n1",
    doc: { by: "ada-was-here" },
  });
  const body = new Blob(["her file"]).stream();
  await k.call("fs.write", { path: "/data/blog/hers.txt" }, { from, body });
  await k.call("fs.write", { path: "/data/blog/roots.txt" }, { body: new Blob(["x"]).stream() });

  const told: Left[] = [];
  for await (const line of await k.call<AsyncIterable<Left>>("security.user.export", {
    name: "ada",
  })) {
    told.push(line);
  }
  const tables = new Set(told.map(({ table }) => table));
  for (const table of ["storage_kv", "storage_doc", "fs_inode", "app_release", "security_audit"]) {
    expect(tables).toContain(table);
  }
  expect(JSON.stringify(told)).toContain("ada wrote this");
  expect(told[0]).toMatchObject({ table: "security_user", row: { name: "ada" } });
  const credentials = told.filter(({ table }) => table === "security_credential");
  expect(credentials.map(({ row }) => row["hash"])).toEqual(["•••"]);

  const done = await k.call<{ removed: number }>("security.user.erase", { name: "ada" });
  expect(done.removed).toBe(3);
  expect(traces(k.kernel.storage, ada.id)).toEqual([]);
  expect(traces(k.kernel.storage, "ada-was-here")).toEqual([]);
  const audited = k.kernel.storage.read.all(
    "SELECT 1 FROM security_audit WHERE user_id = ?",
    ada.id,
  );
  expect(audited).toEqual([]);
  expect(await k.call("storage.kv.get", { app: "blog", key: "roots" })).toMatchObject({ value: 1 });
  expect(await k.call("fs.ls", { path: "/data/blog" })).toMatchObject([
    { path: "/data/blog/roots.txt" },
  ]);
  expect(k.kernel.app.get("blog").releaseId).not.toBeNull();
  expect(await k.kernel.storage.check()).toMatchObject({ ok: true });
});

test("a file is whoever's who wrote it last", async () => {
  await using k = await testKernel();
  const root = localOwner("socket");
  const ada: Caller = { ...root, kind: "user", userId: "user_ada" };
  const write = (path: string, from: Caller) =>
    k.call("fs.write", { path }, { from, body: new Blob([`by ${from.userId}`]).stream() });
  for (const by of [ada, root]) await write("/home/roots.txt", by);
  for (const by of [root, ada]) await write("/home/hers.txt", by);
  await k.kernel.storage.users.erase("user_ada", () => undefined);
  const left = await k.call("fs.ls", { path: "/home" });
  expect(left).toMatchObject([{ path: "/home/roots.txt" }]);
});
